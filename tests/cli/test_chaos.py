"""A short run of launch/chaos holds; and it notices what must not be."""

import os
import signal
import subprocess
import sys

import pytest

from conftest import PROGRAM, ROOT

sys.path.insert(0, str(ROOT / "tests" / "chaos"))

from watched import Program, family_of, faults_of, left_behind, run

NONE = ["--command-lines=0", "--inputs=0", "--results=0", "--kills=0"]


def chaos(folder, *arguments, program=PROGRAM):
    return subprocess.run([ROOT / "launch" / "chaos", "--seed=7", f"--program={program}",
                           f"--keep={folder / 'kept'}", *NONE, *arguments], capture_output=True,
                          text=True, timeout=300, check=False)


@pytest.mark.usefixtures("needs_hdf5", "needs_mpi")
@pytest.mark.parametrize("trials", ["--command-lines=40", "--inputs=40", "--results=20",
                                    "--kills=5"])
def test_a_short_run(tmp_path, trials):
    finished = chaos(tmp_path, trials)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert "seed 7: 0 faults" in finished.stdout


def fake(folder, script):
    path = folder / "fake"
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("script,fault", [
    ("exit 0", None),
    ("echo 'annulus: --mask: no' >&2; exit 2", None),
    ("echo 'annulus: no space' >&2; exit 1", None),
    ("kill -SEGV $$", "crashes: SIGSEGV"),
    ("kill -TERM $$", "crashes: SIGTERM"),
    ("sleep 99", "hangs"),
    ("sleep 99 & exit 0", "hangs"),
    ("setsid sleep 99 & exit 0", "hangs"),
    ("exit 134", "exit code 134"),
    ("exit 2", "exit code 2 with 0 lines on standard error"),
    ("echo annulus: one >&2; echo two >&2; exit 2", "exit code 2 with 2 lines on standard error"),
    ("echo 'Traceback (most recent call last):' >&2; exit 1", "a traceback"),
])
def test_ends(tmp_path, script, fault):
    folder = tmp_path / "empty"
    folder.mkdir()
    ended = run(Program(str(fake(tmp_path, script)), seconds=0.5), [], folder)
    assert faults_of(ended) == ([] if fault is None else [fault])
    assert not family_of(folder)


SAID = "PMIX ERROR: UNREACHABLE in file ../src/mca/ptl/base/ptl_base_connection_hdlr.c at line 388"


@pytest.mark.parametrize("script,faults", [
    (f"echo '{SAID}' >&2; exec sleep 99", []),
    ("exec sleep 99", ["hangs"]),
    (f"echo '{SAID}' >&2; sleep 99", ["hangs"]),  # a process besides
])
def test_an_end_that_the_launcher_does_not_find(tmp_path, monkeypatch, script, faults):
    """It is known by what PMIx says, and as no rank is left; where nobody was killed it is new."""
    folder = tmp_path / "empty"
    folder.mkdir()
    fake(tmp_path, f"[ \"$1\" != --version ] || exit 0\n{script}").rename(tmp_path / "mpirun")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    ended = run(Program("true", seconds=1), [], folder, ranks=2)
    assert faults_of(ended, signal.SIGKILL) == faults
    assert faults_of(ended) == ["hangs"]
    assert not family_of(folder)


def test_what_is_left_behind(tmp_path):
    (tmp_path / ".o.h5.partial-1").touch()
    (tmp_path / "o.h5").touch()
    assert left_behind(tmp_path, {"o.h5"}) == ["leaves .o.h5.partial-1"]


@pytest.mark.usefixtures("needs_hdf5")
@pytest.mark.parametrize("deed,fault", [
    ("kill -SEGV $$", "crashes: SIGSEGV"),
    ("touch .out.h5.partial-1; exit 1", "leaves .out.h5.partial-1"),
    ("echo annulus: x >&2; exit 1", "damage is not told as bad input"),
])
def test_faults_of_a_program(tmp_path, deed, fault):
    """What it does to inputs is found, told with the command, and kept."""
    program = fake(tmp_path, f'[ "$1" != attend ] || {{ {deed}; }}\nexec "{PROGRAM}" "$@"')
    finished = chaos(tmp_path, "--inputs=2", program=program)
    assert finished.returncode == 1
    assert f"inputs:0: {fault}" in finished.stdout and "attend in.h5" in finished.stdout
    assert "seed 7: 2 faults" in finished.stdout
    assert (tmp_path / "kept" / "7-inputs-1" / "in.h5").exists()


@pytest.mark.usefixtures("needs_hdf5")
@pytest.mark.parametrize("kind,deed,fault", [
    ("results", 'cp study.toml o.h5; echo annulus: x >&2; exit 2', "changes a file that it refuses"),
    ("results", "exit 0", "loses"),
    ("kills", "rm -f o.h5; exit 0", "then: "),
])
def test_faults_of_a_resumption(tmp_path, kind, deed, fault):
    program = fake(tmp_path, f'case "$*" in *--resume) {deed};; esac\nexec "{PROGRAM}" "$@"')
    finished = chaos(tmp_path, f"--{kind}=6", program=program)
    assert finished.returncode == 1 and fault in finished.stdout, finished.stdout + finished.stderr
