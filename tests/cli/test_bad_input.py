"""Bad input is exit code 2, one line that names what is wrong, and nothing lost or half-written."""

import os
import pathlib
import stat
import subprocess

import h5py
import numpy as np
import pytest

from inputs import random_problem, write

pytestmark = pytest.mark.usefixtures("needs_hdf5")

NEEDLE = 'kind = "needle"\nn = [64]\nrho = [0.5]\ngamma = [1.0, 2.0]\n'


@pytest.fixture
def attend_refused(annulus, tmp_path):
    """attend refuses an input, alone and on several ranks, and leaves no file behind."""

    def check(source, *options, says, ranks=None):
        before = set(os.listdir(tmp_path))
        for transport in [()] if ranks else [(), ("--transport", "threads:3")]:
            annulus.refused(
                "attend",
                source,
                "-o",
                tmp_path / "out.h5",
                *options,
                *transport,
                says=says,
                ranks=ranks,
            )
        assert set(os.listdir(tmp_path)) == before

    return check


@pytest.fixture
def source(tmp_path):
    return write(random_problem(), tmp_path / "in.h5")


def test_missing_file(attend_refused, tmp_path):
    attend_refused(tmp_path / "nowhere.h5", says=["nowhere.h5"])


def test_not_hdf5(attend_refused, tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("no HDF5\n")
    attend_refused(path, says=["text.h5"])


@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_missing_dataset(attend_refused, tmp_path, name):
    path = write(random_problem(), tmp_path / "in.h5", **{name: None})
    attend_refused(path, says=[f"/{name}"])


def test_filter_that_is_not_there(attend_refused, tmp_path):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        for name in "qkv":
            file.create_dataset(name, data=np.ones((9, 2, 3)), compression="lzf")
    attend_refused(path, says=["/q", "lzf", "filter"])


def test_filter_that_crashes_where_its_data_are_damaged(attend_refused, tmp_path):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        for name in "qkv":
            file.create_dataset(name, data=np.ones((9, 2, 3)), scaleoffset=3)
    attend_refused(path, says=["/q", "scaleoffset", "expected none, gzip or szip"])


def test_damaged_dataset(attend_refused, tmp_path):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        for name in "qkv":
            file.create_dataset(name, data=np.ones((9, 2, 3)), chunks=(9, 2, 3), fletcher32=True)
        place = file["k"].id.get_chunk_info(0).byte_offset
    data = bytearray(path.read_bytes())
    data[place + 5] ^= 255
    path.write_bytes(data)
    attend_refused(path, says=["in.h5", "/k"])


def test_damaged_structure(attend_refused, tmp_path):
    path = write(random_problem(), tmp_path / "in.h5")
    data = bytearray(pathlib.Path(path).read_bytes())
    data[data.index(b"HEAP")] ^= 255  # where the names of the datasets are
    path.write_bytes(data)
    attend_refused(path, says=["in.h5", "heap"])


@pytest.mark.parametrize("ranks", [None, pytest.param(2, marks=pytest.mark.mpi)])
@pytest.mark.parametrize("place,value,says", [(24, 0, "does not end"), (31, 255, "crashes")])
def test_damage_that_hdf5_trips_over(request, attend_refused, tmp_path, ranks, place, value, says):
    """In a heap of texts a length became 0, after which HDF5 looks for ever; or it became huge."""
    if ranks:
        request.getfixturevalue("needs_mpi")
    path = write(random_problem(), tmp_path / "in.h5")
    with h5py.File(path, "a") as file:
        file["q"].attrs["layout"] = "nhd"
    data = bytearray(pathlib.Path(path).read_bytes())
    data[data.index(b"GCOL") + place] = value
    pathlib.Path(path).write_bytes(data)
    attend_refused(path, says=["in.h5: damaged: HDF5 " + says], ranks=ranks)


SHAPE_FAULTS = {
    "rank": ({"q": np.zeros((29, 16))}, ["/q", "expected"]),
    "key_dim": ({"k": np.zeros((29, 2, 15))}, ["/k", "16"]),
    "value_rows": ({"v": np.zeros((28, 2, 16))}, ["/v", "29"]),
    "value_heads": ({"v": np.zeros((29, 1, 16))}, ["/v", "2"]),
    "groups": ({"k": np.zeros((29, 3, 16)), "v": np.zeros((29, 3, 16))}, ["4", "3", "multiple"]),
    "gain": ({"gain": np.zeros(3)}, ["/gain", "4"]),
    "sink": ({"sink": np.zeros((4, 1))}, ["/sink"]),
    "whole_numbers": ({"q": np.zeros((29, 4, 16), np.int32)}, ["/q", "float"]),
    "cu_falls": ({"cu_seqlens": np.array([0, 20, 10, 29])}, ["/cu_seqlens"]),
    "cu_short": ({"cu_seqlens": np.array([0, 20, 28])}, ["/cu_seqlens", "29"]),
    "cu_start": ({"cu_seqlens": np.array([1, 29])}, ["/cu_seqlens", "0"]),
    "cu_keys": (
        {"cu_seqlens": np.array([0, 9, 29]), "cu_seqlens_k": np.array([0, 29])},
        ["/cu_seqlens", "cu_seqlens_k"],
    ),
}


@pytest.mark.parametrize("fault", SHAPE_FAULTS)
def test_shapes(attend_refused, tmp_path, fault):
    datasets, says = SHAPE_FAULTS[fault]
    attend_refused(write(random_problem(), tmp_path / "in.h5", **datasets), says=says)


@pytest.mark.parametrize("shape", [(2**33, 2**30, 1), (2**31, 1, 2**31), (2**40, 2**20, 2**10)])
def test_shapes_that_no_memory_holds(attend_refused, tmp_path, shape):
    path = tmp_path / "in.h5"
    with h5py.File(path, "w") as file:
        for name in "qkv":
            file.create_dataset(name, shape, "f4", chunks=(1, 1, 1))  # nothing is written
    attend_refused(path, says=["in.h5", "/q", "expected at most"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name,index", [("q", (17, 3, 5)), ("k", (0, 1, 0)), ("v", (28, 0, 15))])
def test_not_finite(attend_refused, tmp_path, name, index, value):
    problem = random_problem()
    getattr(problem, name)[index] = value
    place = r"\[{}, ?{}, ?{}\]".format(*index)
    attend_refused(write(problem, tmp_path / "in.h5"), says=[f"/{name}", place, "finite|nan|inf"])


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_not_finite_on_one_of_many_processes(attend_refused, tmp_path):
    problem = random_problem()
    problem.q[28, 0, 0] = np.nan
    path = write(problem, tmp_path / "in.h5")
    attend_refused(path, "--sharding", "contiguous", says=["/q", r"\[28, ?0, ?0\]"], ranks=3)


def test_logits_that_overflow(annulus, attend_refused, tmp_path):
    problem = random_problem()
    problem.q[7:] *= 1e30
    problem.k *= 1e20
    path = write(problem, tmp_path / "in.h5")
    attend_refused(path, "--mask", "causal", says=["query 7", "overflow", "--precision fp64"])
    annulus.ok("attend", path, "-o", tmp_path / "out.h5", "--precision", "fp64")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_numbers_that_overflow(attend_refused, tmp_path, backend):
    """Downwards, in a sink, and in a sum of values."""
    downwards = random_problem(queries=3, heads=1, key_heads=1, d=1)
    downwards.q[:], downwards.k[:] = 1e30, -1e30
    sink = random_problem(sink=np.full(4, 1e300))
    values = random_problem(queries=100, heads=1, key_heads=1)
    values.k[:], values.v[:] = 1.0, 3.4e38
    for problem in (downwards, sink, values):
        if problem is values and backend == "reference":
            continue  # sums in fp64, where the mean is finite
        path = write(problem, tmp_path / "in.h5")
        attend_refused(path, "--backend", backend, says=["query 0", "overflow"])


def test_table_without_scales(attend_refused, source):
    attend_refused(source, "--logit-scale", "table", says=["/logit_scale"])


def test_backward_without_dout(attend_refused, source):
    attend_refused(source, "--backward", says=["/dout", "--backward"])


def test_dout_is_checked_like_any_input(attend_refused, tmp_path):
    short = write(random_problem(), tmp_path / "in.h5", dout=np.ones((29, 4, 15)))
    attend_refused(short, "--backward", says=["/dout", "16"])
    dout = np.ones((29, 4, 16))
    dout[3, 2, 1] = np.nan
    path = write(random_problem(), tmp_path / "in.h5", dout=dout)
    attend_refused(path, "--backward", says=["/dout", r"\[3, ?2, ?1\]"])


def test_scales_that_nobody_reads(attend_refused, tmp_path):
    path = write(random_problem(), tmp_path / "in.h5", logit_scale=np.ones(29))
    attend_refused(path, says=["/logit_scale", "--logit-scale table", "without it"])


def test_table_of_another_shape(attend_refused, tmp_path):
    path = write(random_problem(), tmp_path / "in.h5", logit_scale=np.ones((29, 3)))
    attend_refused(path, "--logit-scale", "table", says=["/logit_scale"])


OPTIONS = [
    (["--mask", "diagonal"], ["--mask", "diagonal", "causal", "window"]),
    (["--mask", "window:x"], ["--mask", "window"]),
    (["--mask", "window:-1"], ["--mask"]),
    (["--logit-scale", "crit"], ["--logit-scale", "crit", "ssmax", "table"]),
    (["--logit-scale", "critical:delta=1"], ["--logit-scale", "delta", "gamma"]),
    (["--logit-scale", "critical:gamma=x"], ["--logit-scale", "gamma"]),
    (["--sharding", "diagonal"], ["--sharding", "zigzag"]),
    (["--key-sharding", "diagonal"], ["--key-sharding", "balanced"]),
    (["--schedule", "ulysses"], ["--schedule", "ring", "node-ring"]),
    (["--precision", "fp8"], ["--precision", "fp32"]),
    (["--device", "cuda"], ["--device", "cuda"]),
    (["--device", "tpu"], ["--device", "tpu"]),
    (["--device", "cuda", "--precision", "fp64"], ["cuda"]),
    (["--device", "cpu", "--backend", "cuda"], ["--backend", "cuda", "cpu"]),
    (["--backend", "gpu"], ["--backend", "gpu", "reference"]),
    (["--backend", "cudnn"], ["--backend", "cudnn"]),
    (["--transport", "carrier"], ["--transport", "carrier"]),
    (["--transport", "threads:0"], ["--transport", "threads"]),
    (["--transport", "threads:x"], ["--transport", "threads"]),
    (["--threads", "-1"], ["--threads"]),
    (["--threads", "abc"], ["--threads", "abc", "1 to 4096"]),
    (["--threads", "0"], ["--threads", "1 to 4096"]),
    (["--threads", ""], ["--threads", "''", "1 to 4096"]),
    (["--key-sharding", ""], ["--key-sharding", "''", "balanced"]),
    (["--mask", "window:99999999999999999999"], ["--mask", "0 to 2305843009213693951"]),
    (["--transport", "threads:9999"], ["--transport", "threads:P", "1 to 512"]),
    (["--no-such-option"], ["no-such-option"]),
]


@pytest.mark.parametrize("options,says", OPTIONS, ids=[" ".join(o) for o, _ in OPTIONS])
def test_options(annulus, source, tmp_path, options, says):
    annulus.refused("attend", source, "-o", tmp_path / "out.h5", *options, says=says)
    assert not (tmp_path / "out.h5").exists()


def test_nccl_where_its_library_cannot_be_loaded(annulus, features, tmp_path, monkeypatch):
    if features["nccl"] is None:
        pytest.skip("a build without NCCL")
    assert features["nccl"]["problem"] or features["nccl"]["version"]
    (tmp_path / "libnccl.so.2").write_text("not a library")
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert "libnccl.so.2 cannot be loaded: " in annulus.ok("info").out
    annulus.refused("verify", "--transport", "nccl", says=["--transport: libnccl.so.2 cannot be loaded"])


@pytest.mark.parametrize("ranks", [None, pytest.param(2, marks=pytest.mark.mpi)])
def test_nccl_where_there_is_no_gpu(annulus, features, request, source, tmp_path, ranks):
    if ranks:
        request.getfixturevalue("needs_mpi")
    assert ("nccl" in features["transports"]) == (features["nccl"] is not None)
    if features["nccl"] is not None and features["gpus"]:
        pytest.skip("this machine has a GPU")
    reason = "build" if features["nccl"] is None else "no GPU for rank 0: "
    for command in (["attend", source, "-o", tmp_path / "out.h5"], ["verify", "--length", "31"]):
        annulus.refused(*command, "--transport", "nccl", says=["--transport: nccl", reason],
                        ranks=ranks)
    assert not (tmp_path / "out.h5").exists()


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_options_under_mpirun(annulus, source, tmp_path):
    annulus.refused(
        "attend", source, "-o", tmp_path / "out.h5", "--mask", "x", says=["--mask"], ranks=3
    )
    for transport in ("self", "threads:2"):
        annulus.refused(
            "attend",
            source,
            "-o",
            tmp_path / "out.h5",
            "--transport",
            transport,
            says=["--transport"],
            ranks=2,
        )


def test_usage(annulus):
    annulus.refused(says=["subcommand", "attend, study"])
    annulus.refused("attent", says=["unknown subcommand 'annulus attent'; expected attend, study"])
    annulus.refused("bench", "strng", says=["unknown subcommand 'annulus bench strng'", "strong"])
    annulus.refused("verify", "--one", "--two", says=["unknown option '--one'; annulus verify --help"])
    annulus.refused("verify", "5", says=["unknown argument '5'"])
    # The first that is wrong, in the order of --help.
    annulus.refused("verify", "--threads", "x", "--mask", "x", "--length", "x", says=["--length: "])
    annulus.refused("attend", "", "-o", "x", says=["input: '';"])
    annulus.refused("attend", says=["input|output|required"])
    annulus.refused("bench", says=["subcommand"])


def test_existing_output_is_kept(annulus, source, tmp_path):
    output = tmp_path / "out.h5"
    output.write_text("precious")
    annulus.refused("attend", source, "-o", output, says=["--output", "--overwrite"])
    assert output.read_text() == "precious"
    annulus.ok("attend", source, "-o", output, "--overwrite")
    with h5py.File(output) as file:
        assert file.attrs["complete"] == 1


def test_a_failed_overwrite_keeps_what_is_there(annulus, tmp_path):
    problem = random_problem()
    problem.v[3, 1, 2] = np.nan
    source = write(problem, tmp_path / "in.h5")
    output = tmp_path / "out.h5"
    output.write_text("precious")
    annulus.refused("attend", source, "-o", output, "--overwrite", says=["/v"])
    assert output.read_text() == "precious"


def test_output_over_input(annulus, source):
    before = pathlib.Path(source).read_bytes()
    annulus.refused("attend", source, "-o", source, "--overwrite", says=["--output", "input"])
    assert pathlib.Path(source).read_bytes() == before


def test_no_such_folder(annulus, source, tmp_path):
    for command in (["attend", source], ["study", config(tmp_path)]):
        annulus.refused(*command, "-o", tmp_path / "nowhere" / "out.h5", says=["--output", "nowhere"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_unwritable_folder(annulus, source, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    annulus.refused("attend", source, "-o", folder / "out.h5", says=["--output", "closed"])


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody can write in")
def test_folder_that_nobody_can_write_in(annulus, source, tmp_path):
    for command in (["attend", source], ["study", config(tmp_path)]):
        annulus.refused(*command, "-o", "/proc/out.h5", says=["--output", "/proc"])


def config(folder, text=NEEDLE, name="config.toml"):
    path = folder / name
    path.write_text(text)
    return path


CONFIGS = [
    ("no kind", "n = [4]\n", ["kind"]),
    ("unknown kind", NEEDLE.replace("needle", "pin"), ["kind", "pin", "needle"]),
    ("unknown key", NEEDLE + "speed = 1\n", ["speed"]),
    ("key of another kind", NEEDLE + "layers = 3\n", ["layers"]),
    ("missing key", NEEDLE.replace("rho = [0.5]\n", ""), ["rho"]),
    ("wrong type", NEEDLE.replace("[64]", '"many"'), ["n"]),
    ("out of range", NEEDLE.replace("[0.5]", "[1.5]"), ["rho"]),
    ("not TOML", "kind = \n", ["config.toml"]),
    ("gamma", NEEDLE.replace("2.0", "1e5"), ["gamma", "0 to 10000"]),
    ("range", NEEDLE.replace(
        "[1.0, 2.0]", '{from = 1e-300, to = 1e300, count = 3, spacing = "log"}'), ["gamma"]),
    ("half a token", NEEDLE.replace("[64]", "{from = 16, to = 33, count = 3}"),
     ["n: 24.5 is not a whole number"]),
    ("grid", NEEDLE.replace("[0.5]", "{from = 0.0, to = 0.5, count = 100000}").replace(
        "[1.0, 2.0]", "{from = 0.0, to = 8.0, count = 100000}"),
     ["n x rho x gamma: a grid of 10000000000 points; expected at most 10000000"]),
    ("precision", NEEDLE + 'precision = "fp8"\n', ["precision", "fp8", "bf16"]),
]


@pytest.mark.parametrize("text,says", [c[1:] for c in CONFIGS], ids=[c[0] for c in CONFIGS])
def test_configs(annulus, tmp_path, text, says):
    path = config(tmp_path, text)
    output = tmp_path / "out.h5"
    annulus.refused("study", path, "-o", output, says=says)
    annulus.refused("study", path, "-o", output, "--transport", "threads:2", says=says)
    assert not output.exists()


def test_missing_config(annulus, tmp_path):
    says = ["no.toml: there is no such file"]
    annulus.refused("study", tmp_path / "no.toml", "-o", tmp_path / "o.h5", says=says)
    empty = config(tmp_path, "", "empty.toml")
    annulus.refused("study", empty, "-o", tmp_path / "o.h5", says=["empty.toml: kind: .*missing"])


def test_study_options(annulus, tmp_path):
    path = config(tmp_path)
    output = tmp_path / "out.h5"
    both = ["--resume", "--overwrite"]
    annulus.refused("study", path, "-o", output, *both, says=["--resume", "--overwrite"])
    annulus.refused("study", path, "-o", output, "--progress", "x", says=["--progress"])
    annulus.refused("study", path, "-o", output, "--backend", "gpu", says=["--backend", "gpu"])
    annulus.refused("study", path, "-o", path, "--overwrite", says=["--output"])
    assert path.read_text() == NEEDLE


def test_existing_study_is_kept(annulus, tmp_path):
    output = tmp_path / "out.h5"
    annulus.ok("study", config(tmp_path), "-o", output)
    before = output.read_bytes()
    annulus.refused("study", config(tmp_path), "-o", output, says=["--output", "--resume"])
    other = config(tmp_path, NEEDLE.replace("2.0", "3.0"), "other.toml")
    annulus.refused("study", other, "-o", output, "--resume", says=["config", "gamma"])
    source = write(random_problem(), tmp_path / "in.h5")
    annulus.refused("study", config(tmp_path), "-o", source, "--resume", says=["in.h5"])
    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(before)
    with h5py.File(damaged, "a") as file:
        del file.attrs["complete"]
    annulus.refused("study", config(tmp_path), "-o", damaged, "--resume", says=["--output"])
    assert output.read_bytes() == before


def test_report(annulus, tmp_path):
    annulus.refused("report", tmp_path / "no.h5", says=["no.h5"])
    source = write(random_problem(), tmp_path / "in.h5")
    annulus.refused("report", source, says=["in.h5"])
    annulus.refused("report", source, "--python", "/no/python", says=["--python"])


SHAPES = [
    (["--heads", "3", "--key-heads", "2"], ["--heads", "multiple"]),
    (["--head-dim", "0"], ["--head-dim"]),
    (["--length", "-1"], ["--length"]),
    (["--length", "x"], ["--length"]),
    (["--length", ""], ["--length: ''; expected a whole number from 0 to 2147483648"]),
    (["--length", "0x10"], ["--length: '0x10'"]),
    (["--length", "1e3"], ["--length: '1e3'"]),
    (["--length", "99999999999999999999"], ["--length: '99999999999999999999'"]),
    (["--documents", "64,,64"], ["--documents: ''"]),
    (["--documents", "64,"], ["--documents: ''"]),
    (["--documents", "[64,,64]"], ["--documents"]),
    (["--documents", "3,-1"], ["--documents"]),
    (["--logit-scale", "table"], ["--logit-scale", "attend"]),
    (["--precision", "fp4"], ["--precision", "fp16"]),
]


@pytest.mark.parametrize("command", [["verify"], ["plan"]], ids=str)
@pytest.mark.parametrize("options,says", SHAPES, ids=[" ".join(o) for o, _ in SHAPES])
def test_shape_options(annulus, command, options, says):
    annulus.refused(*command, *options, says=says)


LARGE = [
    (["--length", "9223372036854775807"], ["--length"]),
    (["--head-dim", "4611686018427387904"], ["--head-dim", "1 to 16777216"]),
    (["--head-dim", "16777216", "--heads", "2"], ["--head-dim", "at most 8388608"]),
    (["--heads", "1000000000"], ["heads"]),
    (["--batch", "9223372036854775807"], ["--batch"]),
    (["--batch", "4000000", "--length", "4000000"], ["--batch"]),
]


@pytest.mark.parametrize("options,says", LARGE, ids=[" ".join(o) for o, _ in LARGE])
def test_shapes_too_large_to_count(annulus, options, says):
    annulus.refused("plan", *options, says=says)


def test_pipe_as_config(annulus, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    annulus.refused("study", tmp_path / "pipe", "-o", tmp_path / "o.h5", says=["pipe"])


def test_link_to_itself_as_output(annulus, source, tmp_path):
    (tmp_path / "self").symlink_to("self")
    annulus.refused("attend", source, "-o", tmp_path / "self", says=["--output", "link"])


def test_output_that_appears_during_the_run_is_kept(annulus, source, tmp_path):
    """Two runs race for one name: the later one loses."""
    output = tmp_path / "out.h5"
    many = [
        subprocess.Popen(
            annulus.command("attend", source, "-o", output),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    messages = [process.communicate()[1] for process in many]
    codes = [process.returncode for process in many]
    assert sorted(codes) == [0, 2, 2, 2, 2, 2], messages
    assert os.listdir(tmp_path).count("out.h5") == 1
    assert not [name for name in os.listdir(tmp_path) if "partial" in name]


def test_plan_ranks(annulus):
    annulus.refused("plan", "--ranks", "2000000000", says=["--ranks"])
    annulus.refused("plan", "--ranks", "1048577", says=["--ranks: '1048577'", "1 to 1048576"])
    annulus.refused("plan", "--ranks", "0", says=["--ranks"])
