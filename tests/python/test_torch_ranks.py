"""One model, whatever joins its ranks: the same loss and gradients to rounding."""

import pytest


def numbers(finished):
    assert finished.returncode == 0, finished.stderr
    return [float(number) for number in finished.stdout.split()]


@pytest.fixture(scope="module")
def expected():
    import subprocess
    import sys

    from conftest import HERE
    return numbers(subprocess.run([sys.executable, HERE / "programs" / "loss.py"],
                                  capture_output=True, text=True, check=False))


@pytest.mark.parametrize("launcher, arguments", [("mpirun", ["mpi"]), ("torchrun", [])])
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_model(launch, expected, launcher, arguments, ranks):
    assert numbers(launch(launcher, ranks, "loss.py", *arguments)) == pytest.approx(expected, abs=5e-5)
