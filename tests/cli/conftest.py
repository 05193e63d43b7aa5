import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

# These are tests of CPUs, also where --device auto would be something else.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

ROOT = pathlib.Path(os.environ.get("ANNULUS_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
PROGRAM = os.environ.get("ANNULUS", str(ROOT / "build" / "bin" / "annulus"))


class Finished:
    """A run that is over."""

    def __init__(self, process):
        self.code = process.returncode
        self.out = process.stdout
        self.err = process.stderr

    @property
    def json(self):
        return json.loads(self.out)


def mpirun(ranks, *options):
    """The command that starts `ranks` processes."""
    return [str(ROOT / "launch" / "mpirun"), "--quiet", *options, str(ranks)]


class Annulus:
    """Runs the program, alone or under mpirun."""

    program = PROGRAM

    def command(self, *arguments, ranks=None):
        launcher = [] if ranks is None else mpirun(ranks)
        return [*launcher, self.program, *map(str, arguments)]

    def __call__(self, *arguments, ranks=None, timeout=120, cwd=None):
        environment = dict(os.environ, OMP_NUM_THREADS="1")
        return Finished(
            subprocess.run(
                self.command(*arguments, ranks=ranks),
                capture_output=True,
                check=False,
                text=True,
                timeout=timeout,
                cwd=cwd,
                env=environment,
            )
        )

    def ok(self, *arguments, **options):
        finished = self(*arguments, **options)
        assert finished.code == 0, finished.err
        return finished

    def refused(self, *arguments, says, **options):
        """Exit code 2, and one line on standard error that has all of `says`."""
        finished = self(*arguments, **options)
        assert finished.code == 2, (finished.code, finished.out, finished.err)
        lines = [line for line in finished.err.splitlines() if re.match("annulus(:| report:)", line)]
        assert len(lines) == 1, finished.err
        for part in says:
            assert re.search(part, lines[0]), (part, lines[0])
        assert finished.out == ""
        return finished


@pytest.fixture(scope="session")
def annulus():
    return Annulus()


@pytest.fixture(scope="session")
def features(annulus):
    return annulus.ok("info", "--json").json


@pytest.fixture
def needs_hdf5(features):
    if features["hdf5"] is None:
        pytest.skip("this build has no HDF5")


@pytest.fixture
def needs_mpi(features):
    if features["mpi"] is None or shutil.which("mpirun") is None:
        pytest.skip("this build has no MPI")


@pytest.fixture(params=[None, *(pytest.param(n, marks=pytest.mark.mpi) for n in (2, 3, 4))])
def ranks(request):
    """None without a launcher, or how many it starts."""
    if request.param:
        request.getfixturevalue("needs_mpi")
    return request.param


def pytest_configure(config):
    config.addinivalue_line("markers", "mpi: starts several processes")
