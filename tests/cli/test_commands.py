"""The subcommands as a user meets them."""

import re
import subprocess

import numpy as np
import pytest

COMMANDS = [
    [],
    ["attend"],
    ["study"],
    ["report"],
    ["plan"],
    ["verify"],
    ["info"],
    ["bench"],
    ["bench", "kernel"],
    ["bench", "strong"],
    ["bench", "weak"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help(annulus, command):
    finished = annulus.ok(*command, "--help")
    assert finished.err == ""
    assert "Usage" in finished.out
    if command and command != ["bench"]:
        assert "--json" in finished.out


def test_version(annulus):
    pattern = r"annulus \d+\.\d+\.\d+ \(([0-9a-f]{7,40}(\+changes)?|unknown)\)\n"
    assert re.fullmatch(pattern, annulus.ok("--version").out)


def test_info(annulus):
    info = annulus.ok("info", "--json").json
    for key in [
        "version", "git_commit", "mpi", "hdf5", "cuda", "nccl", "cudnn", "simd_target",
        "bf16_dot_product", "bf16_tile_registers", "gpus", "auto_device", "backends", "transports"
    ]:
        assert key in info
    assert {"reference", "cpu"} <= set(info["backends"])
    assert info["gpus"] == []
    assert info["auto_device"] == "cpu"
    text = annulus.ok("info").out
    for word in ["mpi", "hdf5", "simd", "backends", "gpus", "device       cpu"]:
        assert word in text
    if info["mpi"] is not None:
        assert info["mpi"]["cuda_aware"] in (True, False)
        assert ("not CUDA-aware" in text) != info["mpi"]["cuda_aware"]
        assert info["mpi"]["device_path"] == ("direct" if info["mpi"]["cuda_aware"] else "staged")
        assert f"GPUs {info['mpi']['device_path']}" in text
    # What has run on a GPU, on which and when, and what never has.
    assert any(trial["gpu"] and trial["date"] and trial["outcome"] for trial in info["gpu_trials"])
    if info["cuda"] is not None:
        assert info["cuda"]["architectures"]
        for trial in info["gpu_trials"]:
            assert trial["part"] in text and trial["gpu"] in text and trial["date"] in text


def test_info_on_what_the_environment_wishes(annulus, monkeypatch, features):
    if features["cuda"] is not None:
        assert features["cuda"]["kernels"] == "mma"
        monkeypatch.setenv("ANNULUS_CUDA", "hopper")
        assert "kernels hopper" in annulus.ok("info").out
        monkeypatch.setenv("ANNULUS_CUDA", "hoper")
        annulus.refused("info", says=["ANNULUS_CUDA=hoper: expected mma or hopper"])
        annulus.refused("verify", "--length", 16, says=["ANNULUS_CUDA=hoper: expected mma or hopper"])
        monkeypatch.delenv("ANNULUS_CUDA")
    if features["mpi"] is not None:
        monkeypatch.setenv("ANNULUS_MPI_DEVICE", "staged")
        assert annulus.ok("info", "--json").json["mpi"]["device_path"] == "staged"
        monkeypatch.setenv("ANNULUS_MPI_DEVICE", "stage")
        annulus.refused("info", says=["ANNULUS_MPI_DEVICE=stage: expected staged or direct"])
        monkeypatch.delenv("ANNULUS_MPI_DEVICE")
    monkeypatch.setenv("ANNULUS_BF16", "dots")
    annulus.refused("info", says=["ANNULUS_BF16=dots: expected auto, amx, dot or widen"])


@pytest.mark.mpi
def test_ranks_refuse_a_path_to_gpus_that_mpi_has_not(annulus, monkeypatch, needs_mpi, features):
    run = ["verify", "--length", 31, "--head-dim", 8]
    monkeypatch.setenv("ANNULUS_MPI_DEVICE", "pinned")
    annulus.refused(*run, ranks=2, says=["ANNULUS_MPI_DEVICE=pinned: expected staged or direct$"])
    monkeypatch.setenv("ANNULUS_MPI_DEVICE", "staged")
    annulus.ok(*run, ranks=2)
    monkeypatch.setenv("ANNULUS_MPI_DEVICE", "direct")
    if features["mpi"]["cuda_aware"]:
        annulus.ok(*run, ranks=2)
    else:
        says = ["ANNULUS_MPI_DEVICE=direct: this MPI is not CUDA-aware; expected staged$"]
        annulus.refused(*run, ranks=2, says=says)


@pytest.mark.parametrize("options", [[], ["--transport", "threads:3"], ["--device", "auto"]])
def test_without_a_gpu_auto_is_the_cpu_without_a_word(annulus, options):
    finished = annulus.ok("verify", "--length", 31, "--head-dim", 8, "--json", *options)
    assert finished.json["backend"] == "cpu"
    assert finished.err == ""


@pytest.mark.parametrize("mask", ["full", "causal", "window:9", "window:2,3"])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5, 8])
def test_verify(annulus, mask, ranks):
    result = annulus.ok(
        "verify",
        "--length",
        "101",
        "--head-dim",
        "24",
        "--key-heads",
        "2",
        "--mask",
        mask,
        "--logit-scale",
        "critical",
        "--transport",
        f"threads:{ranks}",
        "--json",
    ).json
    assert result["valid"] and result["ranks"] == ranks
    for row in result["outputs"]:
        assert 0 <= row["error"] <= row["bound"]


@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_verify_backward(annulus, ranks):
    options = ["--length", "37", "--mask", "causal", "--transport", f"threads:{ranks}"]
    result = annulus.ok("verify", "--backward", *options, "--json").json
    assert [row["output"] for row in result["outputs"]] == [
        "out", "lse", "entropy", "effective_keys", "participation", "max_probability", "max_logit",
        "self_probability", "dq", "dk", "dv", "dgain"
    ]
    assert result["valid"] and result["pass"] == "backward"


# At lengths for which bounds of gradients used to be larger than the gradients.
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16", "fp64"])
def test_bounds_can_fail(annulus, precision):
    options = ["--length", 1009, "--heads", 4, "--head-dim", 32, "--precision", precision]
    result = annulus.ok("verify", "--backward", *options, "--json").json
    for row in result["outputs"]:
        assert 0 < row["bound"] < row["largest"] / 10, row


@pytest.mark.parametrize("scale", ["critical", "ssmax", "qwen:train_length=16"])
@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_verify_decode(annulus, ranks, scale):
    options = ["--documents", "67,1,0,30", "--mask", "window:40", "--logit-scale", scale]
    result = annulus.ok(
        "verify", "--decode", *options, "--transport", f"threads:{ranks}", "--json"
    ).json
    assert result["valid"] and result["pass"] == "decode"


@pytest.mark.parametrize(
    "options",
    [["--mask", "full"], ["--mask", "window:3,1"], ["--backward"], ["--queries", "3"],
     ["--sharding", "zigzag"], ["--key-sharding", "zigzag"], ["--schedule", "ring"]],
    ids=" ".join,
)
def test_decode_refuses_what_it_cannot_honour(annulus, options):
    mask = [] if "--mask" in options else ["--mask", "causal"]
    annulus.refused("verify", "--decode", *mask, *options, says=["--decode", options[0]])


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("ranks", [2, 5])
def test_verify_decode_under_mpirun(annulus, ranks):
    options = ["--length", "131", "--mask", "causal", "--logit-scale", "critical"]
    finished = annulus.ok("verify", "--decode", *options, ranks=ranks)
    assert finished.out.count("VALID") == 8 and f"decode over {ranks} ranks" in finished.out


def test_bench_backward(annulus):
    rows = annulus.ok(
        "bench", "kernel", "--backward", "--length", 128, "--head-dim", 64, "--json"
    ).json["rows"]
    assert rows[0]["pass"] == "backward" and rows[0]["verdict"] == "VALID"
    assert rows[0]["flops"] == 2.5 * 4 * 128 * 128 * 64 * 4


@pytest.mark.parametrize("options", [[], ["--precision", "bf16"], ["--transport", "threads:3"],
                                     ["--batch", "3", "--mask", "window:20"]], ids=" ".join)
def test_bench_decode(annulus, options):
    rows = annulus.ok("bench", "decode", "--length", 200, "--heads", 4, "--key-heads", 2,
                      "--tokens", 3, *options, "--json").json["rows"]
    (row,) = rows
    size = 2 if "bf16" in options else 4
    sequences = 3 if "--batch" in options else 1
    assert row["verdict"] == "VALID"
    assert row["cache_bytes"] == sequences * 200 * 2 * (128 + 128) * size
    assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
    assert (row["bytes_sent"] > 0) == (row["ranks"] > 1)


@pytest.mark.parametrize("options", [["--tokens", "0"], ["--queries", "3"], ["--mask", "full"],
                                     ["--mask", "window:3,1"], ["--precision", "fp8"]], ids=" ".join)
def test_bench_decode_refuses(annulus, options):
    annulus.refused("bench", "decode", *options, says=[options[0]])


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_verify_under_mpirun(annulus):
    finished = annulus.ok("verify", "--documents", "7,0,31,5", "--mask", "causal", ranks=3)
    assert finished.out.count("VALID") == 8 and "3 ranks" in finished.out


@pytest.mark.parametrize("sharding", ["contiguous", "zigzag", "striped", "balanced"])
def test_plan(annulus, sharding):
    n = 1009
    plan = annulus.ok(
        "plan", "--length", n, "--ranks", 5, "--mask", "causal", "--sharding", sharding, "--json"
    ).json
    assert plan["area"] == n * (n + 1) // 2
    assert sum(rank["area"] for rank in plan["ranks"]) == plan["area"]
    assert plan["flops"] == 4 * plan["area"] * 64 * 4  # head_dim and heads by default
    assert plan["bytes_sent"] == sum(rank["bytes_sent"] for rank in plan["ranks"])
    text = annulus.ok("plan", "--length", n, "--ranks", 5, "--sharding", sharding).out
    assert "rank 0 holds" in text and "step 0: computes" in text and "balance" in text


def test_plan_over_nodes(annulus):
    options = ["--length", 1024, "--ranks", 8, "--sharding", "contiguous"]
    shard = 128 * 4 * (64 + 64) * 4
    for per_node, steps, sent in [(1, 8, 7), (2, 4, 3), (4, 2, 1), (8, 1, 0)]:
        schedule = "ring" if per_node == 1 else "node-ring"
        nodes = [*options, "--ranks-per-node", per_node, "--schedule", schedule]
        plan = annulus.ok("plan", *nodes, "--json").json
        assert plan["schedule"] == schedule
        assert plan["step_count"] == steps
        assert {rank["bytes_sent"] for rank in plan["ranks"]} == {sent * shard}
        everyone = annulus.ok("plan", *nodes, "--all-ranks", "--json")
        for rank, program in enumerate(everyone.json["programs"]):
            assert program["rank"] == rank and len(program["steps"]) == steps
            first = program["steps"][0]["computes"]
            node = range(rank - rank % per_node, rank - rank % per_node + per_node)
            assert sorted(compute["holder"] for compute in first) == list(node)
            assert first[0]["owner"] == first[0]["holder"] == rank
    ring = annulus.ok("plan", *options, "--ranks-per-node", 8, "--schedule", "ring", "--json").json
    assert ring["schedule"] == "ring" and ring["step_count"] == 8
    for per_node in [0, 9]:
        annulus.refused(
            "plan", *options, "--ranks-per-node", per_node, says=["--ranks-per-node", "1 to (the 8|1048576)"]
        )
    annulus.refused(
        "plan", *options, "--ranks-per-node", 3, "--schedule", "node-ring", says=["node-ring", "2"]
    )


def test_plan_of_one_rank(annulus):
    options = ["--length", 100, "--ranks", 3, "--mask", "causal", "--sharding", "contiguous"]
    text = annulus.ok("plan", *options, "--rank", 1).out
    assert "step 0: computes with keys of 1, sends keys of 1 to 2, receives keys of 0 from 0" in text
    plan = annulus.ok("plan", *options, "--rank", 1, "--json").json
    everyone = annulus.ok("plan", *options, "--all-ranks", "--json").json
    assert plan["programs"] == everyone["programs"][1:2] and plan["ranks"] == everyone["ranks"][1:2]
    sent = [send for step in plan["programs"][0]["steps"] for send in step["sends"]]
    assert sum(send["bytes"] for send in sent) == plan["ranks"][0]["bytes_sent"]
    annulus.refused("plan", *options, "--rank", 3, says=["--rank: '3'", "0 to 2"])
    annulus.refused("plan", *options, "--rank", 0, "--all-ranks", says=["--rank", "--all-ranks"])


def test_plan_of_many_ranks(annulus):
    """Of many ranks some are asked, and a few are shown."""
    options = ["--length", 1 << 24, "--ranks", 100000, "--mask", "causal"]
    plan = annulus.ok("plan", *options[:2], "--ranks", 1000, "--mask", "window:64", "--json").json
    assert plan["area"] == sum(min(i + 1, 65) for i in range(65)) + 65 * ((1 << 24) - 65)
    assert len(plan["ranks"]) == 64 and len(plan["programs"]) == 3 and not plan["exact"]
    assert plan["bytes_sent"] == pytest.approx(999 * 64 * 4 * 128 * 4, rel=0.02)
    text = annulus.ok("plan", *options, "--sharding", "zigzag", "--rank", 77777).out
    assert text.count("\n  step ") == 100000


def test_plan_of_many_documents(annulus):
    plan = annulus.ok("plan", "--documents", ",".join(["100"] * 10000), "--ranks", 512, "--mask",
                      "causal", "--json").json
    assert plan["sharding"] == "balanced" and plan["bytes_sent"] == 0


def test_plan_counts_memory(annulus):
    options = ["--length", 1024, "--ranks", 4, "--heads", 4, "--key-heads", 2, "--mask", "full"]
    for backward in [[], ["--backward"]]:
        plan = annulus.ok("plan", *options, *backward, "--json").json
        assert plan["pass"] == ("backward" if backward else "forward")
        for rank in plan["ranks"]:
            parts = [rank[f"{part}_bytes"] for part in ("input", "output", "state", "buffer")]
            assert rank["memory_bytes"] == sum(parts)
            if not backward:
                row = 256 * 64 * 4  # rows, d, and bytes of one head
                assert parts == [
                    4 * row + 4 * row,  # q, and two heads each of k and v
                    4 * (row + 256 * 4),  # out and lse
                    4 * 256 * (64 + 5) * 8 + 256 * 8,  # sums, maxima, and a number of each row
                    2 * 4 * row,  # the packed shard that is held, and the one that arrives
                ]


MEASURED = [
    "n_q", "n_k", "heads", "head_dim", "ranks", "threads", "schedule", "sharding", "seconds",
    "seconds_min", "seconds_max", "flops", "flops_per_second", "fraction_of_peak",
    "exposed_seconds", "bytes_sent", "verdict"
]


def test_bench_kernel(annulus):
    result = annulus.ok(
        "bench", "kernel", "--length", 256, "--head-dim", 64, "--repetitions", 3, "--json"
    ).json
    row = result["rows"][0]
    assert all(key in row for key in MEASURED)
    assert row["verdict"] == "VALID"
    assert row["flops"] == 4 * 256 * 256 * 64 * 4
    assert 0 < row["seconds_min"] <= row["seconds"] <= row["seconds_max"]
    assert 0 < row["fraction_of_peak"] < 1.5
    assert "fraction_of_peak" in annulus.ok("bench", "kernel", "--length", 128).out


def test_bench_strong(annulus):
    result = annulus.ok(
        "bench", "strong", "--length", 256, "--transport", "threads:4", "--json"
    ).json
    rows = result["rows"]
    assert rows[0]["ranks"] == 1 and rows[-1]["ranks"] == 4
    assert all(row["verdict"] == "VALID" for row in rows)
    # Ranks of one node read keys where they are.
    assert rows[-1]["schedule"] == "node-ring" and rows[-1]["bytes_sent"] == 0
    sent = annulus.ok(
        "bench", "strong", "--length", 256, "--transport", "threads:4", "--schedule", "ring", "--json"
    ).json["rows"]
    assert sent[0]["bytes_sent"] == 0 and sent[-1]["bytes_sent"] > 0


@pytest.mark.usefixtures("needs_hdf5")
def test_report(annulus, tmp_path):
    pytest.importorskip("matplotlib")
    config = tmp_path / "config.toml"
    config.write_text(
        'kind = "phase"\ntokens = "gaussian"\ndimension = 4\nn = [32]\n'
        "rho = [0.25, 0.5, 0.75]\ngamma = {from = 0.0, to = 4.0, count = 5}\n"
    )
    annulus.ok("study", config, "-o", tmp_path / "o.h5")
    finished = annulus.ok("report", tmp_path / "o.h5")
    pictures = finished.out.split()
    assert pictures
    for picture in pictures:
        assert (tmp_path / picture).read_bytes().startswith(b"\x89PNG")
    assert annulus.ok("report", tmp_path / "o.h5", "--json").json
    annulus.ok("study", config, "-o", tmp_path / "again.h5")
    assert annulus.ok("report", tmp_path / "o.h5", tmp_path / "again.h5", "--json").json


def test_full_disk_behind_standard_output(annulus):
    with open("/dev/full", "w") as full:
        finished = subprocess.run(
            annulus.command("plan"), stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )
    assert finished.returncode == 1
    assert "standard output" in finished.stderr


@pytest.mark.usefixtures("needs_hdf5")
def test_paths_with_spaces(annulus, tmp_path):
    import h5py

    folder = tmp_path / "a folder's name"
    folder.mkdir()
    with h5py.File(folder / "the input.h5", "w") as file:
        for name in "qkv":
            file[name] = np.ones((3, 1, 2))
    annulus.ok("attend", folder / "the input.h5", "-o", folder / "the output.h5")
    with h5py.File(folder / "the output.h5") as file:
        assert "'" in file.attrs["command_line"]
        assert file["lse"][0, 0] == pytest.approx(2 / np.sqrt(2) + np.log(3), rel=1e-6)
