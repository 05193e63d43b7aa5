"""Nothing crashes on a way out: standard streams that are full or closed, and memory that is not there."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from conftest import PROGRAM, ROOT


def shell(command, **environment):
    """Runs a line of bash, in which $A is the program."""
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60,
                          env=dict(os.environ, A=PROGRAM, **environment), check=False)


@pytest.mark.parametrize("arguments", ["--help", "--version", "verify --help", "info",
                                       "plan --length 99", "plan --length 99 --json",
                                       "verify --length 9"])
@pytest.mark.parametrize("stream", [">/dev/full", ">&-"])
def test_output_that_does_not_arrive(arguments, stream):
    finished = shell(f"$A {arguments} {stream}")
    assert finished.returncode == 1
    assert finished.stderr.count("\n") == 1 and finished.stderr.startswith("annulus: ")


@pytest.mark.parametrize("stream", ["2>/dev/full", "2>&-"])
def test_messages_that_do_not_arrive(stream):
    assert shell(f"$A verify --length x {stream}").returncode == 2
    assert shell(f"$A verify --length 9 {stream}").returncode == 0
    assert shell(f"$A bench kernel --length 64 --head-dim 16 --repetitions 1 --progress always "
                 f"{stream}").returncode == 0


def test_messages_are_one_line():
    finished = subprocess.run([PROGRAM, "verify", "--mask", "a\nb\x1b[2J\x7f深"], capture_output=True,
                              text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert r"'a\x0ab\x1b[2J\x7f深'" in finished.stderr


@pytest.mark.usefixtures("needs_hdf5")
def test_messages_of_report_are_one_line(tmp_path):
    finished = subprocess.run([PROGRAM, "report", "a\nb"], capture_output=True, text=True, timeout=60,
                              check=False, cwd=tmp_path)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1 and r"a\x0ab" in finished.stderr


@pytest.mark.usefixtures("needs_hdf5")
def test_no_file_takes_the_number_of_a_closed_stream(tmp_path):
    (tmp_path / "a.toml").write_text('kind = "needle"\nn = 9\nrho = 0.5\ngamma = 1\n')
    finished = shell(f"cd {tmp_path}; $A study a.toml -o o.h5 --progress always 0>&- 2>&-")
    assert finished.returncode == 0, finished
    assert b"points" not in (tmp_path / "o.h5").read_bytes()[:64]
    assert shell(f"cd {tmp_path}; $A study a.toml -o o.h5 --resume").returncode == 0


@pytest.mark.usefixtures("needs_hdf5")
def test_pictures_whose_names_do_not_arrive(tmp_path):
    (tmp_path / "a.toml").write_text('kind = "needle"\nn = [9, 99]\nrho = 0.5\ngamma = [1, 2]\n')
    finished = shell(f"cd {tmp_path}; $A study a.toml -o o.h5 && $A report o.h5 >/dev/full")
    assert finished.returncode == 1, finished
    assert "Traceback" not in finished.stderr


BIG = "--length 2000000000 --heads 128 --key-heads 128 --head-dim 1024"


@pytest.mark.parametrize("arguments", [f"verify {BIG}", f"verify {BIG} --transport threads:2",
                                       f"verify {BIG} --backward", f"bench strong {BIG}",
                                       f"bench kernel {BIG}"])
def test_memory_that_is_not_there(arguments):
    finished = shell(f"$A {arguments}")
    assert finished.returncode == 1
    assert re.match(r"annulus: out of memory: rank \d needs \d+ bytes \(.* are available there\n$",
                    finished.stderr), finished.stderr


@pytest.mark.usefixtures("needs_hdf5")
@pytest.mark.parametrize("config", [
    'kind = "phase"\ntokens = "simplex"\nn = 2000000000\nrho = 0.5\ngamma = 1\n',
    'kind = "sphere"\ndimension = 16777216\nn = 2000000000\ngamma = 1\n'])
def test_studies_that_no_memory_holds(tmp_path, config):
    (tmp_path / "a.toml").write_text(config)
    finished = shell(f"cd {tmp_path}; $A study a.toml -o o.h5")
    assert finished.returncode == 1
    assert re.match(r"annulus: out of memory: rank 0 needs \d+ bytes", finished.stderr), finished
    assert os.listdir(tmp_path) == ["a.toml"]


def test_progress_fits_a_narrow_terminal():
    """40 columns: no line of the terminal is written beyond its end."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    process = subprocess.Popen([PROGRAM, "bench", "kernel", "--length", "64,65,66", "--head-dim",
                                "16", "--repetitions", "1"], stderr=terminal,
                               stdout=subprocess.DEVNULL)
    assert process.wait(timeout=60) == 0
    os.close(terminal)
    written = b""
    try:
        while part := os.read(main, 4096):
            written += part
    except OSError:  # the other end is closed
        pass
    os.close(main)
    lines = [line for line in re.split(r"[\r\n]+", written.decode()) if line]
    assert any("of 3 points" in line for line in lines), lines
    assert max(len(line) for line in lines) < 40


@pytest.mark.parametrize("ranks", ["0", "-1", "two", "", "1.5", "1,2"])
def test_mpirun_takes_a_number_of_ranks(ranks):
    finished = subprocess.run([ROOT / "launch" / "mpirun", ranks, "true"], capture_output=True,
                              text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert f"'{ranks}'" in finished.stderr
