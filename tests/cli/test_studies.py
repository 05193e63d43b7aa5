"""Studies: files that others open, resumption, and numbers that do not depend on who computes."""

import os
import random
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("needs_hdf5")

PHASE = """kind = "phase"
tokens = "gaussian"
dimension = 8
n = [61, 128]
rho = [0.25, 0.5]
gamma = {from = 0.0, to = 4.0, count = 5}
measure = ["gradient_norm"]
"""
NEEDLE = """kind = "needle"
n = [65536]
rho = [0.5]
gamma = [2.0]
"""
SPHERE = """kind = "sphere"
n = [100, 200]
gamma = [0.5, 1.0]
dimension = 8
queries = 7
"""
DEPTH = """kind = "depth"
tokens = "simplex"
n = [31]
rho = [0.5]
gamma = [1.5, 3.0]
layers = 3
residual = 0.5
"""
CLUSTERED = """kind = "phase"
tokens = "clustered"
directions = 16
n = [64]
rho = [0.5]
gamma = [1.0, 2.0]
"""
ALL = {
    "phase": PHASE,
    "needle": NEEDLE,
    "sphere": SPHERE,
    "depth": DEPTH,
    "clustered": CLUSTERED,
}


@pytest.fixture
def config(tmp_path):
    def write(text):
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def arrays(path):
    """Every dataset of a results file by name."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = item[...]

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def assert_same(one, other, rtol=0.0, atol=0.0):
    assert one.keys() == other.keys()
    for name, values in one.items():
        np.testing.assert_allclose(other[name], values, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("kind", ALL)
def test_ranks_do_not_matter(annulus, config, tmp_path, kind):
    path = config(ALL[kind])
    annulus.ok("study", path, "-o", tmp_path / "1.h5")
    one = arrays(tmp_path / "1.h5")
    for ranks in (2, 3, 5, 8):
        output = tmp_path / f"{ranks}.h5"
        annulus.ok("study", path, "-o", output, "--transport", f"threads:{ranks}")
        assert_same(one, arrays(output), rtol=1e-9, atol=1e-12)


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("kind", ALL)
def test_mpi(annulus, config, tmp_path, kind):
    path = config(ALL[kind])
    annulus.ok("study", path, "-o", tmp_path / "1.h5")
    annulus.ok("study", path, "-o", tmp_path / "3.h5", ranks=3)
    assert_same(arrays(tmp_path / "1.h5"), arrays(tmp_path / "3.h5"), rtol=1e-9, atol=1e-12)
    with h5py.File(tmp_path / "3.h5") as file:
        assert file.attrs["ranks"] == 3
        assert file.attrs["mpi_library"] != ""
        assert file.attrs["complete"] == 1


@pytest.mark.parametrize("ranks", [1, 2, 5, 8])
def test_needle_is_right_on_every_shard(annulus, config, tmp_path, ranks):
    annulus.ok("study", config(NEEDLE), "-o", tmp_path / "o.h5", "--transport", f"threads:{ranks}")
    output = arrays(tmp_path / "o.h5")["needle/output"]
    assert f"{output[0, 0, 0]:.10f}" == "0.5000038147"


def test_measured_equals_closed_forms(annulus, config, tmp_path):
    """Where tokens are simplices or clusters, every measured quantity has its closed form."""
    for text in (
        CLUSTERED,
        PHASE.replace("gaussian", "simplex").replace("dimension = 8\n", ""),
        DEPTH,
        DEPTH.replace("residual = 0.5", "residual = -0.75"),  # turns deviations around
    ):
        annulus.ok("study", config(text), "-o", tmp_path / "o.h5", "--overwrite")
        found = arrays(tmp_path / "o.h5")
        theory = [name for name in found if "/theory/" in name]
        assert theory
        for name in theory:
            measured = found[name.replace("/theory/", "/")]
            np.testing.assert_allclose(measured, found[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("kind", ALL)
def test_xarray_opens_it(annulus, config, tmp_path, kind):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    annulus.ok("study", config(ALL[kind]), "-o", tmp_path / "o.h5")
    group = "phase" if kind == "clustered" else kind
    with xarray.open_dataset(tmp_path / "o.h5", engine="h5netcdf", group=group) as data:
        assert "n" in data.coords and "gamma" in data.coords
        name = next(iter(data.data_vars))
        assert np.isfinite(data[name].values).all()


def test_complete_study_is_not_computed_again(annulus, config, tmp_path):
    path = config(PHASE)
    annulus.ok("study", path, "-o", tmp_path / "o.h5")
    before = (tmp_path / "o.h5").read_bytes()
    again = annulus.ok("study", path, "-o", tmp_path / "o.h5", "--resume")
    assert "contraction" in again.out
    assert (tmp_path / "o.h5").read_bytes() == before


def finished_points(path):
    """How many points a file holds; the file may be replaced at any moment, but always opens."""
    if not path.exists():
        return 0
    return int(arrays(path)["phase/finished"].sum())


@pytest.mark.parametrize("seed", range(3))
def test_killed_and_resumed(annulus, config, tmp_path, seed):
    """SIGKILL at random moments, until a run gets through: the numbers of a run in peace."""
    path = config(PHASE.replace("n = [61, 128]", "n = [512, 1024]"))
    output = tmp_path / "killed.h5"
    chance = random.Random(seed)
    kills = 0
    started = time.monotonic()
    annulus.ok("study", path, "-o", tmp_path / "whole.h5")
    whole_seconds = time.monotonic() - started
    for _ in range(50):
        process = subprocess.Popen(
            annulus.command("study", path, "-o", output, "--resume"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ, OMP_NUM_THREADS="1"),  # as the run in peace
        )
        try:
            # Later attempts get longer, so that the test ends.
            process.wait(chance.uniform(0.1, 0.6) * whole_seconds * (1 + kills / 10))
            assert process.returncode == 0
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            points = finished_points(output)
            if output.exists():
                with h5py.File(output) as file:
                    assert file.attrs["complete"] == 0 or points == 20
    assert kills > 0
    whole, resumed = arrays(tmp_path / "whole.h5"), arrays(output)
    assert_same(whole, resumed)
    with h5py.File(output) as file:
        assert file.attrs["complete"] == 1
    assert [name for name in os.listdir(tmp_path) if "partial" in name] == []


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_killed_job_resumed_by_another_number_of_ranks(annulus, config, tmp_path):
    path = config(PHASE.replace("n = [61, 128]", "n = [61, 512]"))
    output = tmp_path / "killed.h5"
    process = subprocess.Popen(
        annulus.command("study", path, "-o", output, ranks=3),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while finished_points(output) == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert finished_points(output) > 0
    # The ranks notice that mpirun is gone, each in its time; until then the file is theirs.
    resumed = annulus("study", path, "-o", output, "--resume", ranks=2)
    while "another run is writing it" in resumed.err and time.monotonic() < deadline + 30:
        time.sleep(0.5)
        resumed = annulus("study", path, "-o", output, "--resume", ranks=2)
    assert resumed.code == 0, resumed.err
    annulus.ok("study", path, "-o", tmp_path / "whole.h5")
    assert_same(arrays(tmp_path / "whole.h5"), arrays(output), rtol=1e-9, atol=1e-12)


def test_table_and_json(annulus, config, tmp_path):
    path = config(PHASE)
    text = annulus.ok("study", path, "-o", tmp_path / "a.h5").out
    assert "contraction" in text and "gradient_norm" in text and "critical" in text
    result = annulus.ok("study", path, "-o", tmp_path / "b.h5", "--json").json
    assert len(result["points"]) == 20
    found = arrays(tmp_path / "b.h5")
    for index, row in zip(np.ndindex(2, 2, 5), result["points"]):
        assert row["contraction"] == found["phase/contraction"][index]
        assert row["n"] == found["phase/n"][index[0]]
        assert row["gamma"] == found["phase/gamma"][index[2]]
    depth = annulus.ok("study", config(DEPTH), "-o", tmp_path / "c.h5").out
    assert "by layer" in depth
    layers = annulus.ok(
        "study", config(DEPTH), "-o", tmp_path / "c.h5", "--resume", "--json"
    ).json["points"]
    assert [row["layer"] for row in layers][:3] == [1, 2, 3]


def test_progress(annulus, config, tmp_path):
    path = config(NEEDLE)
    quiet = annulus.ok("study", path, "-o", tmp_path / "a.h5")
    assert quiet.err == ""
    shown = annulus.ok("study", path, "-o", tmp_path / "b.h5", "--progress", "always")
    assert "1 of 1 points" in shown.err
