"""launch/mpirun: where ranks are put, and what it says of that."""

import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import ROOT

CORES = len(os.sched_getaffinity(0))
LAUNCHER = str(ROOT / "launch" / "mpirun")

pytestmark = pytest.mark.usefixtures("needs_mpi")


def run(*arguments, **environment):
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OMP_", "SLURM_", "PBS_"))
    }
    return subprocess.run(
        [LAUNCHER, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**clean, **environment},
    )


@pytest.fixture(autouse=True)
def needs_open_mpi():
    version = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False)
    if "Open MPI" not in version.stdout:
        pytest.skip("mpirun is not Open MPI's")


def line(*arguments, **environment):
    """The mpirun line, without what only root needs."""
    finished = run("--print", *arguments, **environment)
    assert finished.returncode == 0 and finished.stderr == "", finished
    return finished.stdout.strip().replace("--allow-run-as-root ", "")


def test_it_says_what_it_chose_and_its_program_alone_prints():
    finished = run(1, "echo", "a word")
    assert finished.returncode == 0 and finished.stdout == "a word\n"
    chosen, started = finished.stderr.splitlines()
    assert re.fullmatch(
        r"launch/mpirun: ranks 1, nodes 1, ranks on a node 1, binding core \(\d+ for "
        r"each rank\), threads those of the cores",
        chosen,
    )
    assert started.startswith("launch/mpirun: mpirun ") and started.endswith(r"-n 1 echo a\ word")
    assert run("--quiet", 1, "true").stderr == ""


def test_a_rank_has_all_cores_or_its_share():
    shown = run("--quiet", 1, "nproc").stdout
    assert int(shown) == CORES
    assert run("--quiet", "--threads", 1, 1, "nproc").stdout == "1\n"
    assert set(run("--quiet", "--bind", "none", 2, "nproc").stdout.split()) == {str(CORES)}


def test_more_ranks_than_cores_give_way():
    assert line(CORES, "true").startswith("mpirun --map-by ppr:")
    crowded = line(CORES + 1, "true")
    assert (
        f"ppr:{CORES + 1}:node --bind-to none --oversubscribe --mca mpi_yield_when_idle 1"
        in crowded
    )


def test_threads_are_told_to_openmp():
    assert "-x OMP_NUM_THREADS" in line("--threads", CORES, 1, "true")
    assert (
        run("--quiet", "--threads", CORES, 1, "printenv", "OMP_NUM_THREADS").stdout == f"{CORES}\n"
    )
    assert f"PE={CORES} " in line(1, "true", OMP_NUM_THREADS=f"{CORES},2")
    assert "--bind-to none" in line("--threads", CORES + 1, 1, "true")
    assert "OMP_NUM_THREADS" not in line(1, "true")


def test_hosts(tmp_path):
    hostfile = tmp_path / "hosts"
    hostfile.write_text("# three\nn1 slots=2\n\nn2 slots=2\nn2\n  n3\n")
    # Nothing runs: these are other machines.
    started = line("--hostfile", hostfile, 5, "program")
    assert f"--hostfile {hostfile} --map-by ppr:2:node" in started
    assert "ppr:3:node" in line("--hostfile", hostfile, "--ranks-per-node", 3, 5, "program")
    assert "ppr:4:node" in line(8, "program", SLURM_JOB_NUM_NODES="2")
    assert f"--hostfile {hostfile} --map-by ppr:2:node" in line(
        6, "program", PBS_NODEFILE=str(hostfile)
    )


@pytest.mark.parametrize(
    "arguments, says",
    [
        ([], "expected [OPTIONS] RANKS PROGRAM"),
        (["2"], "expected [OPTIONS] RANKS PROGRAM"),
        (["x", "true"], "RANKS: 'x'; expected a whole number"),
        (["--threads", "0", "1", "true"], "--threads: '0'; expected a whole number"),
        (["--ranks-per-node", "two", "1", "true"], "--ranks-per-node: 'two'"),
        (
            ["--ranks-per-node", "1", "2", "true"],
            "--ranks-per-node: 1 on each of 1; expected room for 2",
        ),
        (["--bind", "board", "1", "true"], "--bind: 'board'; expected core, numa, socket or none"),
        (
            ["--bind", "core", "--threads", "999", "1", "true"],
            "--bind core: 1 ranks of 999 threads on",
        ),
        (["--hostfile", "/nowhere", "1", "true"], "--hostfile: /nowhere is not there"),
        (["--hostfile", "/dev/null", "1", "true"], "--hostfile: /dev/null names no host"),
        (["--hostfile"], "--hostfile: a value is missing"),
        (["--nonsense", "1", "true"], "unknown option '--nonsense'"),
    ],
)
def test_bad_input_is_one_line(arguments, says):
    finished = run(*arguments)
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr.count("\n") == 1 and says in finished.stderr


def test_of_another_mpi_only_the_number_of_ranks_is_known(tmp_path):
    other = tmp_path / "mpirun"
    other.write_text("#!/bin/sh\n[ $1 = --version ] && exec echo HYDRA\nprintf '%s\\n' \"$*\"\n")
    other.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    assert run("--quiet", 3, "program", "-x", PATH=path).stdout == "-n 3 program -x\n"
    refused = run("--bind", "core", 3, "program", PATH=path)
    assert refused.returncode == 2 and "--bind: this mpirun is not Open MPI's" in refused.stderr
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("bash", "env"):
        (tools / name).symlink_to(shutil.which(name))
    refused = run(3, "program", PATH=str(tools))
    assert refused.returncode == 2 and "there is no mpirun here" in refused.stderr


# A rank that says that it is there, and leaves word when it is told to end.
RANK = "trap 'touch told; exit 143' TERM; touch there; while :; do sleep 0.05; done"


@pytest.mark.parametrize("sent, code", [
    (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_what_happens_to_it_happens_to_the_ranks(tmp_path, sent, code):
    process = subprocess.Popen([LAUNCHER, "--quiet", "1", "bash", "-c", RANK], cwd=tmp_path,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(tmp_path / "there")
    process.send_signal(sent)
    assert process.wait(timeout=20) == code
    wait_for(tmp_path / "told")


def wait_for(file):
    deadline = time.monotonic() + 20
    while not file.exists():
        assert time.monotonic() < deadline, f"{file} is not there"
        time.sleep(0.02)
