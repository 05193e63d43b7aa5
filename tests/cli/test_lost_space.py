"""A disk that is full, limits, signals and other runs: what ends a run ends it soon, with the cause,
and takes along what is half-written."""

import contextlib
import os
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest

from conftest import mpirun
from inputs import random_problem, write

pytestmark = pytest.mark.usefixtures("needs_hdf5")

STUDY = 'kind = "needle"\nn = [64]\nrho = [0.5]\ngamma = {from = 0.0, to = 3.0, count = 4000}\n'
LONG = STUDY.replace("[64]", "[4000000]")  # a point takes a while
SECONDS = 30


@pytest.fixture
def small_disk(tmp_path):
    """A folder with room for 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def config(folder, text):
    path = folder / "config.toml"
    path.write_text(text)
    return path


def expect_failure(run, path, cause):
    lines = [line for line in run.err.splitlines() if line.startswith("annulus:")]
    assert run.code == 1, run.err
    assert len(lines) == 1 and cause in lines[0] and str(path) in lines[0], run.err


@pytest.mark.parametrize("room", [256, 12, 0])
def test_full_disk(annulus, tmp_path, small_disk, ranks, room):
    source = write(random_problem(queries=600, heads=8, d=64), tmp_path / "in.h5")
    (small_disk / "others").write_bytes(bytes(1024 * (256 - room)))
    output = small_disk / "o.h5"
    expect_failure(annulus("attend", source, "-o", output, ranks=ranks, timeout=SECONDS), output,
                   "No space left on device")
    assert os.listdir(small_disk) == ["others"]


@pytest.mark.parametrize("room", [100, 12, 0])
def test_full_disk_of_a_study(annulus, tmp_path, small_disk, ranks, room):
    (small_disk / "others").write_bytes(bytes(1024 * (256 - room)))
    run = annulus("study", config(tmp_path, STUDY), "-o", small_disk / "o.h5", ranks=ranks,
                  timeout=SECONDS)
    expect_failure(run, small_disk / "o.h5", "No space left on device")
    assert os.listdir(small_disk) == ["others"]


def script_of_ranks(folder, rank, first, command):
    """A script that runs `command`; on one rank, what is to come `first` before."""
    script = folder / "rank.sh"
    script.write_text(f"""#!/bin/bash
if [ "${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" = {rank} ]; then {first}; fi
exec {command}
""")
    script.chmod(0o755)
    return script


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_limit_of_one_rank(annulus, tmp_path, victim):
    """One rank alone may write no more than 16 MiB of a file of 24 MiB."""
    source = write(random_problem(queries=12000, heads=8, d=64), tmp_path / "in.h5", dtype="f4")
    script = script_of_ranks(tmp_path, victim, "ulimit -f 16384",
                             f"{annulus.program} attend {source} -o {tmp_path}/o.h5 "
                             "--mask window:50 --sharding striped")
    run = subprocess.run([*mpirun(3), script], capture_output=True, text=True, timeout=SECONDS,
                         check=False)
    assert run.returncode == 1, run.stderr
    said = [line for line in run.stderr.splitlines() if line.startswith("annulus:")]
    assert len(said) == 1 and f"--output {tmp_path}/o.h5: " in said[0], run.stderr
    assert said[0].endswith(": File too large")
    assert sorted(os.listdir(tmp_path)) == ["in.h5", "rank.sh"]


@contextlib.contextmanager
def started(command):
    process = subprocess.Popen(command, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def partial_files(folder):
    return [name for name in os.listdir(folder) if ".partial-" in name]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("command", ["attend", "study"])
def test_signals(annulus, tmp_path, ranks, command, ending):
    if ranks and ending == signal.SIGHUP:
        pytest.skip("mpirun does not pass it on")
    source = (write(random_problem(queries=40000, d=64), tmp_path / "in.h5", dtype="f4")
              if command == "attend" else config(tmp_path, LONG))
    with started(annulus.command(command, source, "-o", tmp_path / "o.h5", ranks=ranks)) as process:
        wait_for(lambda: partial_files(tmp_path))
        process.send_signal(ending)
        process.communicate(timeout=SECONDS)
        assert process.returncode == -ending if ranks is None else process.returncode > 0
    wait_for(lambda: not partial_files(tmp_path))
    if command == "study" and (tmp_path / "o.h5").exists():  # a point was there before the signal
        with h5py.File(tmp_path / "o.h5") as file:
            assert file["needle/finished"][...].any()
    else:
        assert not (tmp_path / "o.h5").exists()


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_signal_that_does_not_reach_the_first_rank(annulus, tmp_path):
    """As where it waits for a disk when mpirun, a second after SIGTERM, sends SIGKILL."""
    source = write(random_problem(queries=40000, d=64), tmp_path / "in.h5", dtype="f4")
    script = script_of_ranks(tmp_path, 0, "trap '' TERM",
                             f"{annulus.program} attend {source} -o {tmp_path}/o.h5")
    with started([*mpirun(3), script]) as process:
        wait_for(lambda: partial_files(tmp_path))
        time.sleep(0.5)  # the others hear of the file a moment after it is there
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    wait_for(lambda: not partial_files(tmp_path))
    assert not (tmp_path / "o.h5").exists()


@pytest.mark.parametrize("command", ["attend", "study"])
def test_what_sigkill_leaves_goes_with_the_next_run(annulus, tmp_path, command):
    source = (write(random_problem(queries=40000, d=64), tmp_path / "in.h5", dtype="f4")
              if command == "attend" else config(tmp_path, LONG))
    with started(annulus.command(command, source, "-o", tmp_path / "o.h5")) as process:
        wait_for(lambda: partial_files(tmp_path))
        process.kill()
    assert len(partial_files(tmp_path)) == 1
    source = (write(random_problem(), tmp_path / "in.h5") if command == "attend"
              else config(tmp_path, STUDY.replace("4000", "4")))
    annulus.ok(command, source, "-o", tmp_path / "o.h5")
    assert not partial_files(tmp_path)


@pytest.mark.parametrize("option", ["--resume", "--overwrite"])
def test_two_runs_of_one_file(annulus, tmp_path, option):
    source, output = config(tmp_path, STUDY.replace("4000", "100000")), tmp_path / "o.h5"
    with started(annulus.command("study", source, "-o", output)) as first:
        wait_for(output.exists)
        annulus.refused("study", source, "-o", output, option, says=["--output", "another run"])
        with h5py.File(output) as file:  # which readers may open all the while
            assert file["needle/finished"][...].any()
        assert first.poll() is None
        first.kill()
        first.wait()
    with h5py.File(output) as file:
        finished = file["needle/finished"][...] == 1
        assert finished.any() and not finished.all()
        values = np.isfinite(file["needle/output"][...])
        assert values[finished].all() and values.sum() <= finished.sum() + 1
    annulus.ok("study", config(tmp_path, STUDY.replace("4000", "4")), "-o", output, "--overwrite")
