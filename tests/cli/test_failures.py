"""A rank that fails ends the job, promptly and with its own message."""

import os
import re
import signal
import subprocess
import time

import pytest

from conftest import mpirun

pytestmark = [
    pytest.mark.mpi,
    pytest.mark.usefixtures("needs_mpi", "needs_hdf5"),
]

STUDY = """kind = "phase"
tokens = "simplex"
n = [1024]
rho = [0.25, 0.5, 0.75]
gamma = {from = 0.0, to = 8.0, count = 100}
measure = ["gradient_norm"]
"""


def descendants(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            children = [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []
    return children + [pid for child in children for pid in descendants(child)]


def ranks_of(process, count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ranks = []
        for pid in descendants(process.pid):
            try:
                if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == "annulus":
                    ranks.append(pid)
            except OSError:
                continue
        if len(ranks) == count:
            return ranks
        time.sleep(0.02)
    raise AssertionError("the ranks did not start")


def runs(pid):
    """Whether a process is there and not just waiting for its parent to notice its end."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def expect_the_end_of(ranks, deadline):
    """The launcher may be gone a moment before the ranks that it has killed."""
    while any(runs(pid) for pid in ranks):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_killed_rank_ends_the_job(annulus, tmp_path, victim):
    config = tmp_path / "config.toml"
    config.write_text(STUDY)
    output = tmp_path / "o.h5"
    process = subprocess.Popen(
        annulus.command("study", config, "-o", output, ranks=3),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    ranks = ranks_of(process, 3)
    while not output.exists():  # they compute together
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(ranks[victim], signal.SIGKILL)
    killed = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - killed < 30
    assert process.returncode != 0
    expect_the_end_of(ranks, killed + 30)


def run_one_rank_differently(annulus, folder, rank, assignment):
    """Three ranks of a study; in a shell, `rank` changes $config or $more before it starts."""
    (folder / "config.toml").write_text(STUDY)
    script = folder / "rank.sh"
    script.write_text(
        f"""#!/bin/sh
config={folder}/config.toml
more=
if [ "${{OMPI_COMM_WORLD_RANK:-$PMI_RANK}}" = {rank} ]; then {assignment}; fi
exec {annulus.program} study $config -o {folder}/o.h5 $more
"""
    )
    script.chmod(0o755)
    started = time.monotonic()
    finished = subprocess.run([*mpirun(3), script], capture_output=True, text=True, timeout=60,
                              check=False)
    assert time.monotonic() - started < 30
    return finished


def test_rank_that_cannot_read_the_config_ends_the_job(annulus, tmp_path):
    finished = run_one_rank_differently(annulus, tmp_path, 1, "config=missing.toml")
    assert finished.returncode == 2
    assert "missing.toml" in finished.stderr


def test_rank_that_fails_alone_says_so_itself(annulus, tmp_path):
    finished = run_one_rank_differently(annulus, tmp_path, 2, "more=--nonsense")
    assert finished.returncode == 2
    assert "rank 2: " in finished.stderr and "nonsense" in finished.stderr


def seconds_of(pid):
    """What a process has computed, on all cores."""
    with open(f"/proc/{pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def test_a_timeout_ends_the_job(annulus):
    """The last of three ranks stops somewhere in its passes or between them."""
    process = subprocess.Popen(
        annulus.command("bench", "strong", "--length", 1009, "--ranks", 3, "--schedule", "ring",
                        "--repetitions", 1000000, "--timeout", 10, ranks=3),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ranks = ranks_of(process, 3)
    while seconds_of(ranks[2]) < 3:  # to start takes less
        assert process.poll() is None
        time.sleep(0.1)
    os.kill(ranks[2], signal.SIGSTOP)
    stopped = time.monotonic()
    try:
        err = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    assert process.returncode == 1
    assert time.monotonic() - stopped < 30
    assert re.search(r"rank \d on host \S+ has waited 1\d s for .*, which is the timeout", err), err
    expect_the_end_of(ranks, stopped + 30)


@pytest.mark.parametrize("transport", ["threads:2", "nccl"])
def test_a_timeout_is_of_processes(annulus, transport):
    refused = annulus("verify", "--length", 31, "--transport", transport, "--timeout", 60)
    assert refused.code == 2 and transport in refused.err


def test_a_timeout_needs_nobody_to_wait_for(annulus):
    annulus.ok("verify", "--length", 31, "--timeout", 60)
    annulus.refused("verify", "--length", 31, "--timeout", 0, says=["--timeout: '?0"])
