"""attend equals the definition of attention, however the sequence is spread."""

import itertools

import h5py
import numpy as np
import pytest

from exact_attention import STATISTICS, attend, gradients
from inputs import random_problem, write

pytestmark = pytest.mark.usefixtures("needs_hdf5")

MASKS = ["full", "causal", "window:5", "window:3,4", "window:0"]
SCALES = [
    "none",
    "critical:gamma=1.5",
    "critical:gamma=0.5,length=visible,base=rsqrt_d",
    "ssmax:s=0.7",
    "su:base_length=16",
    "qwen:train_length=8",
    "yarn:factor=8",
    "llama4:floor=4",
    "ministral:original=4",
    "grok:train_length=8",
    "infoscale:train_length=32",
    "table",
]
SHARDINGS = ["contiguous", "zigzag", "striped", "balanced"]
RANKS = [1, 2, 3, 5, 8]

random = np.random.default_rng(7)
SHAPES = {
    "prime": {"queries": 29},
    "decode": {"queries": 3, "keys": 31, "heads": 6, "key_heads": 3, "d": 5},
    "more_queries": {"queries": 23, "keys": 7, "d": 3, "d_v": 9},
    "packed": {"documents": [7, 1, 0, 13, 2], "d": 8, "d_v": 1},
    "cross_packed": {"documents": [4, 1, 3], "key_documents": [9, 2, 5], "heads": 3, "key_heads": 1},
    "batch": {"documents": [11, 11, 11], "heads": 2, "key_heads": 2, "d": 7},
    "gain_and_sink": {
        "queries": 19,
        "gain": np.array([0.5, 2.0, -1.0, 0.0]),
        "sink": np.array([0.3, -np.inf, 1.0, -2.0]),
    },
    "one_token": {"queries": 1, "d": 1, "heads": 1, "key_heads": 1},
}


def fp64_tolerance(values):
    return 1e-12 * max(1.0, np.abs(values[np.isfinite(values)]).max(initial=0))


def check(path, problem, tolerance=None, statistics=True):
    """The file holds what the definition gives. `tolerance` is absolute, by dataset; None asks for
    1e-12 relative."""
    exact = attend(problem)
    expected = {"out": exact.out, "lse": exact.lse}
    if statistics:
        expected |= {f"statistics/{name}": exact.statistics[name] for name in STATISTICS}
    with h5py.File(path) as file:
        assert file.attrs["complete"] == 1
        for name, values in expected.items():
            got = file[name][...].reshape(values.shape)
            assert np.isfinite(values).tolist() == np.isfinite(got).tolist(), name
            finite = np.isfinite(values)
            limit = tolerance(name, values, exact) if tolerance else fp64_tolerance(values)
            error = np.abs(got[finite] - values[finite]).max(initial=0)
            assert error <= limit, (name, error, limit)
        if not statistics:
            assert "statistics" not in file


@pytest.fixture
def attend_file(annulus, tmp_path):
    """Runs attend on a problem, by threads unless `launched`, and returns the output's path."""

    def run(problem, sharding, ranks, *options, launched=False, batch=None, dtype="f8", **more):
        source = write(problem, tmp_path / "in.h5", batch=batch, dtype=dtype, **more)
        output = tmp_path / "out.h5"
        what = ["--mask", problem.mask, "--logit-scale", problem.scale, "--sharding", sharding]
        how = [] if launched else ["--transport", f"threads:{ranks}"]
        annulus.ok(
            "attend",
            source,
            "-o",
            output,
            "--overwrite",
            *what,
            *how,
            *options,
            ranks=ranks if launched else None,
        )
        return output

    return run


FP64 = ("--precision", "fp64", "--statistics")


def problem_of(shape, mask, scale, seed):
    problem = random_problem(seed, **SHAPES[shape], mask=mask, scale=scale)
    if scale == "table":
        n, heads = problem.q.shape[:2]
        table = np.random.default_rng(seed).uniform(0.2, 2, (n, heads))
        problem.table = table if seed % 2 else table[:, 0]
    return problem


# Every shape meets every mask and every sharding, every scale every sharding, at some number of
# ranks; which ones meet varies with the place in the list.
CASES = [
    (shape, mask, SCALES[i % len(SCALES)], sharding, RANKS[i % len(RANKS)], i)
    for i, (shape, mask, sharding) in enumerate(itertools.product(SHAPES, MASKS, SHARDINGS))
]


@pytest.mark.parametrize("shape,mask,scale,sharding,ranks,seed", CASES)
def test_threads(attend_file, shape, mask, scale, sharding, ranks, seed):
    problem = problem_of(shape, mask, scale, seed)
    batch = 3 if shape == "batch" else None
    check(attend_file(problem, sharding, ranks, *FP64, batch=batch), problem)


# Under mpirun: every scale, the shardings in turn, and all numbers of ranks.
MPI_CASES = [
    (
        list(SHAPES)[i % len(SHAPES)],
        MASKS[i % len(MASKS)],
        scale,
        SHARDINGS[i % len(SHARDINGS)],
        RANKS[i % len(RANKS)],
        i,
    )
    for i, scale in enumerate(SCALES * 2)
]


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("shape,mask,scale,sharding,ranks,seed", MPI_CASES)
def test_mpi(attend_file, shape, mask, scale, sharding, ranks, seed):
    problem = problem_of(shape, mask, scale, seed)
    batch = 3 if shape == "batch" else None
    check(attend_file(problem, sharding, ranks, *FP64, launched=True, batch=batch), problem)


BACKWARD_CASES = [
    (shape, MASKS[i % len(MASKS)], SCALES[i % len(SCALES)], sharding, RANKS[i % len(RANKS)], i)
    for i, (shape, sharding) in enumerate(itertools.product(SHAPES, SHARDINGS))
]


def check_gradients(path, problem, dout):
    with h5py.File(path) as file:
        for name, values in gradients(problem, dout).items():
            got = file[name][...].reshape(values.shape)
            # Sums over rows as large as 29 weights times products of dimension 16.
            np.testing.assert_allclose(
                got, values, rtol=1e-11, atol=1e-12 * max(1, np.abs(values).max()), err_msg=name
            )
        assert ("dsink" in file) == (problem.sink is not None)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("shape,mask,scale,sharding,ranks,seed", BACKWARD_CASES)
def test_backward(attend_file, backend, shape, mask, scale, sharding, ranks, seed):
    problem = problem_of(shape, mask, scale, seed)
    batch = 3 if shape == "batch" else None
    n, heads = problem.q.shape[:2]
    dout = np.random.default_rng(seed).standard_normal((n, heads, problem.v.shape[2]))
    output = attend_file(
        problem,
        sharding,
        ranks,
        *FP64,
        "--backward",
        "--backend",
        backend,
        batch=batch,
        dout=dout if batch is None else dout.reshape(3, -1, *dout.shape[1:]),
    )
    check(output, problem)
    check_gradients(output, problem, dout)


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("schedule", ["ring", "node-ring", "bidirectional"])
@pytest.mark.parametrize("sharding,ranks", zip(SHARDINGS * 2, [2, 3, 5, 8, 1, 2]))
def test_backward_under_mpirun(attend_file, sharding, ranks, schedule):
    problem = problem_of("gain_and_sink", "window:9,4", "critical", 1)
    dout = np.random.default_rng(1).standard_normal(problem.q.shape)
    options = [*FP64, "--schedule", schedule, "--backward"]
    output = attend_file(problem, sharding, ranks, *options, launched=True, dout=dout)
    check(output, problem)
    check_gradients(output, problem, dout)


def fp32_tolerance(name, values, exact):
    """First order: a logit of d products and a scale is off by (d + 4) u |scale| |q| |k|; that is
    the relative error of a weight, above and below the line, beside sums of n terms. Here d = 64,
    n = 101 and values are below 5."""
    u = 2.0**-24
    logit = 68 * u * exact.largest_logit
    weight = 2 * (logit + (101 + 8) * u)
    finite = np.abs(values[np.isfinite(values)]).max(initial=0)
    return {
        "out": 5 * weight,
        "lse": weight + u * finite,
        "statistics/max_logit": logit + u * finite,
        "statistics/entropy": weight * (np.log(101) + 1) + 4 * u,
        "statistics/effective_keys": 101 * (weight * (np.log(101) + 1) + 4 * u) + 101 * u,
        "statistics/participation": 101 * (2 * weight + 4 * u),
    }.get(name, weight + u)


@pytest.mark.parametrize("size", [1.0, 100.0, 1200.0])
@pytest.mark.parametrize("sharding,ranks", zip(SHARDINGS, [2, 3, 5]))
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_fp32_within_its_bound(attend_file, backend, sharding, ranks, size):
    """Logits grow to 1e4, where a weight in fp32 is lost but nothing overflows."""
    problem = random_problem(
        3, queries=101, d=64, mask="causal", scale="critical:gamma=1,base=rsqrt_d", size=size
    )
    # What fp32 computes with is the rounded input.
    for name in "qkv":
        setattr(problem, name, getattr(problem, name).astype(np.float32).astype(np.float64))
    output = attend_file(
        problem, sharding, ranks, "--statistics", "--backend", backend, dtype="f4"
    )
    with h5py.File(output) as file:
        assert file["out"].dtype == np.float32
        if size > 1000:
            assert np.abs(file["statistics/max_logit"][...]).max() > 1e4
    check(output, problem, fp32_tolerance)


@pytest.mark.parametrize("d", [1, 2, 31, 65, 127, 256])
def test_head_dimensions(attend_file, d):
    problem = random_problem(d, queries=17, d=d, d_v=257 - d, mask="causal")
    output = attend_file(problem, "zigzag", 3, "--precision", "fp64")
    check(output, problem, statistics=False)


@pytest.mark.parametrize("sharding", SHARDINGS)
def test_more_ranks_than_rows(attend_file, sharding):
    problem = random_problem(queries=5, mask="causal", scale="ssmax")
    check(attend_file(problem, sharding, 8, *FP64), problem)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_input_types(annulus, tmp_path, dtype):
    problem = random_problem(5)
    for name in "qkv":
        setattr(problem, name, getattr(problem, name).astype(dtype).astype(np.float64))
    source = write(problem, tmp_path / "in.h5", dtype=dtype)
    annulus.ok("attend", source, "-o", tmp_path / "out.h5", "--precision", "fp64")
    check(tmp_path / "out.h5", problem, statistics=False)


def test_batch_axis_is_kept(annulus, tmp_path):
    problem = problem_of("batch", "causal", "none", 1)
    source = write(problem, tmp_path / "in.h5", batch=3)
    annulus.ok("attend", source, "-o", tmp_path / "out.h5", "--statistics")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["out"].shape == (3, 11, 2, 7)
        assert file["lse"].shape == (3, 11, 2)
        assert file["statistics/entropy"].shape == (3, 11, 2)


def test_attributes_say_where_the_file_comes_from(annulus, tmp_path):
    source = write(random_problem(), tmp_path / "in.h5")
    annulus.ok("attend", source, "-o", tmp_path / "out.h5", "--transport", "threads:3")
    with h5py.File(tmp_path / "out.h5") as file:
        for name in [
            "annulus_version", "git_commit", "command_line", "config", "started_at", "finished_at",
            "mpi_library", "transport", "job", "ranks", "threads_per_rank", "hosts", "cpus", "cores",
            "device", "backend", "complete"
        ]:
            assert name in file.attrs, name
        assert file.attrs["ranks"] == 3
        assert len(file.attrs["hosts"]) == 3
        assert "attend" in file.attrs["command_line"]
        assert 'mask = ' in file.attrs["config"]


def test_needle_at_criticality_does_not_depend_on_ranks(annulus, tmp_path):
    """p = n / (2n - 1) at gamma (1 - rho) = 1; a scale made from a shard's length would give
    n_loc / (n_loc + n - 1)."""
    n, rho = 65536, 0.5
    keys = np.tile([rho, np.sqrt(1 - rho**2)], (n, 1, 1)).reshape(n, 1, 2)
    values = np.zeros((n, 1, 1))
    keys[n // 3, 0], values[n // 3] = (1, 0), 1
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["q"], file["k"], file["v"] = np.array([[[1.0, 0.0]]]), keys, values
    for sharding, ranks in itertools.product(SHARDINGS, [1, 2, 4, 8, 16]):
        annulus.ok(
            "attend",
            tmp_path / "in.h5",
            "-o",
            tmp_path / "out.h5",
            "--overwrite",
            "--logit-scale",
            "critical:gamma=2",
            "--precision",
            "fp64",
            "--sharding",
            sharding,
            "--transport",
            f"threads:{ranks}",
        )
        with h5py.File(tmp_path / "out.h5") as file:
            assert file["out"][0, 0, 0] == pytest.approx(n / (2 * n - 1), rel=1e-12)
            assert f"{file['out'][0, 0, 0]:.10f}" == "0.5000038147"


@pytest.mark.parametrize("length", ["visible", "global"])
def test_causal_convention(annulus, tmp_path, length):
    """The needle at each query's own position: (i+1)/(2i+1) by visible keys, n/(n+i) by all."""
    n, rho = 257, 0.5
    # Simplex tokens: all pairs at cosine rho.
    tokens = np.hstack([np.full((n, 1), np.sqrt(rho)), np.sqrt(1 - rho) * np.eye(n)])
    with h5py.File(tmp_path / "in.h5", "w") as file:
        for name in "qkv":
            file[name] = tokens[:, None, :]
    annulus.ok(
        "attend",
        tmp_path / "in.h5",
        "-o",
        tmp_path / "out.h5",
        "--mask",
        "causal",
        "--logit-scale",
        f"critical:gamma=2,length={length}",
        "--precision",
        "fp64",
        "--statistics",
        "--transport",
        "threads:3",
    )
    i = np.arange(n)
    expected = (i + 1) / (2 * i + 1) if length == "visible" else n / (n + i)
    with h5py.File(tmp_path / "out.h5") as file:
        got = file["statistics/self_probability"][:, 0]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_summary(annulus, tmp_path):
    source = write(random_problem(), tmp_path / "in.h5")
    text = annulus.ok("attend", source, "-o", tmp_path / "a.h5", "--statistics").out
    assert "29 queries" in text and "entropy" in text and "a.h5" in text
    summary = annulus.ok(
        "attend", source, "-o", tmp_path / "b.h5", "--statistics", "--json"
    ).json
    assert summary["queries"] == 29
    with h5py.File(tmp_path / "b.h5") as file:
        mean = file["statistics/entropy"][...].mean()
    row = next(row for row in summary["statistics"] if row["statistic"] == "entropy")
    assert row["mean"] == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("stored", ["f8", "f4", "f2"])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_half_precision_rounds_inputs_once(annulus, tmp_path, backend, precision, stored):
    """Numbers are rounded to the precision and to nothing else on the way; sums are fp32. Where the
    cpu multiplies pairs of bf16, it rounds p and dz to half a unit of bf16, 2^-8, as factors."""
    problem = random_problem(queries=37, seed=3, mask="causal")
    dout = np.random.default_rng(4).standard_normal((37, 4, 16))
    source = write(problem, tmp_path / "in.h5", dtype=stored, dout=dout)
    with h5py.File(source) as file:
        for name in "qkv":
            setattr(problem, name, rounded(file[name][()].astype("f8"), precision))
        dout = rounded(file["dout"][()].astype("f8"), precision)
    target = tmp_path / "out.h5"
    annulus.ok("attend", source, "--output", target, "--precision", precision, "--transport",
               "threads:3", "--mask", "causal", "--backward", "--backend", backend)
    exact = attend(problem)
    expected = gradients(problem, dout)
    info = annulus.ok("info", "--json").json
    multiplied = info["bf16_dot_product"] or info["bf16_tile_registers"]
    u = 2.0**-8 if (backend, precision) == ("cpu", "bf16") and multiplied else 0.0
    norm = {name: np.linalg.norm(getattr(problem, name), axis=2).max() for name in "qkv"}
    # p sums to 1 over keys, and to at most 37 rows of two heads over queries; |dz| <= 2 p |dout| |v|,
    # and <dout, out> in it is off by u |dout| |v|.
    dz = 3 * np.linalg.norm(dout, axis=2).max() * norm["v"] / np.sqrt(16)
    allowed = {
        "out": 3e-6 + u * np.abs(problem.v).max(),
        "dq": 3e-5 + u * dz * norm["k"],
        "dk": 3e-5 + u * 74 * dz * norm["q"],
        "dv": 3e-5 + u * 74 * np.abs(dout).max(),
    }
    with h5py.File(target) as file:
        np.testing.assert_allclose(file["lse"], exact.lse, atol=3e-6)
        for name, values in {"out": exact.out, **expected}.items():
            if name not in allowed:
                continue
            assert file[name].dtype == np.float32
            np.testing.assert_allclose(file[name], values, atol=allowed[name], err_msg=name)


def rounded(values, precision):
    """To the nearest bf16 or fp16, ties to even, from fp64 at once."""
    if precision == "fp16":
        return values.astype("f2").astype("f8")
    fraction, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(fraction, 8)), exponent - 8)


def test_numbers_beyond_fp16_are_refused(annulus, tmp_path):
    problem = random_problem()
    problem.k[3, 1, 2] = 7e4
    source = write(problem, tmp_path / "in.h5")
    annulus.refused("attend", source, "--output", tmp_path / "out.h5", "--precision", "fp16",
                    says=[r"/k\[3, 1, 2\]", "fp16"])
    annulus.ok("attend", source, "--output", tmp_path / "out.h5", "--precision", "bf16")
