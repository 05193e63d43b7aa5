import os
import pathlib
import signal
import subprocess
import sys
import warnings

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

# Where PyTorch has made several process groups, a process of torchrun now and then aborts with this once its program has
# printed everything and is over. It has threads then, and this package has none.
ABORTED_AT_THE_END = "terminate called without an active exception"


def once_more_if_aborted(run, message_of):
    """What run() gives; if it aborted so, what it gives the second time, which counts."""
    outcome = run()
    if ABORTED_AT_THE_END in message_of(outcome):
        warnings.warn(f"a process of PyTorch aborted at its end: {message_of(outcome)}", stacklevel=2)
        outcome = run()
    return outcome


@pytest.fixture
def launch():
    """Runs a program of tests/python/programs as some ranks; returns the finished process."""
    def launch(launcher, *arguments, **options):
        if launcher != "torchrun":
            return launch_once(launcher, *arguments, **options)
        return once_more_if_aborted(lambda: launch_once(launcher, *arguments, **options),
                                    lambda finished: finished.stderr)

    def launch_once(launcher, ranks, program, *arguments, timeout=120):
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
