import os
import pathlib
import signal
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(os.environ.get("ANNULUS_SOURCE", HERE.parents[1]))
sys.path[:0] = [str(HERE), str(ROOT / "tests" / "house")]
os.environ.setdefault("OMP_NUM_THREADS", "1")

LAUNCHERS = {
    "alone": lambda ranks: [sys.executable],
    "mpirun": lambda ranks: [str(ROOT / "launch" / "mpirun"), str(ranks), sys.executable],
    "torchrun": lambda ranks: [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node",
                               str(ranks), "--standalone"],
}


@pytest.fixture
def launch():
    """Runs a program of tests/python/programs as some ranks; returns the finished process."""
    def launch(launcher, ranks, program, *arguments, timeout=120):
        command = [*LAUNCHERS[launcher](ranks), str(HERE / "programs" / program), *map(str, arguments)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   start_new_session=True)
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(command, process.returncode, out, err)
    return launch
