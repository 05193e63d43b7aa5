"""Ranks that are processes: under mpirun with mpi4py, and under torchrun with gloo."""

import pathlib
import signal
import subprocess
import sys
import time

import pytest

PROGRAMS = pathlib.Path(__file__).parent / "programs"
LAUNCHERS = [("mpirun", "mpi"), ("torchrun", "torch")]


@pytest.mark.parametrize("launcher, transport", LAUNCHERS)
def test_ranks_that_differ_are_told_the_same(launch, launcher, transport):
    finished = launch(launcher, 2, "differ.py", transport)
    assert finished.returncode == 0, finished.stderr
    lines = sorted(finished.stdout.splitlines())
    assert lines == sorted(2 * ["mask: full on rank 1 and causal on rank 0; expected the same",
                                "q is fp32 (49, 1, 64); expected fp32 (50, 1, 64) on this rank"])


@pytest.mark.parametrize("launcher, transport", LAUNCHERS)
@pytest.mark.parametrize("how", ["raise", "exit", "exit_with_words", "vanish", "kill"])
def test_a_rank_that_fails_ends_the_others(launch, launcher, transport, how):
    finished = launch(launcher, 2, "fail.py", transport, how, timeout=60)
    assert finished.returncode != 0
    assert time.time() - float(finished.stdout.split()[0]) < 10
    if how in ("raise", "exit_with_words"):
        assert "the cause of it all" in finished.stderr


def test_ctrl_c_ends_a_pass():
    program = subprocess.Popen([sys.executable, PROGRAMS / "interrupted.py"],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert program.stdout.readline() == "begins\n"
        time.sleep(1)
        program.send_signal(signal.SIGINT)
        assert program.communicate(timeout=10)[0] == "interrupted\n"
        assert program.returncode == 0
    finally:
        program.kill()
