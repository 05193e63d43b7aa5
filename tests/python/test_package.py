"""The package as a whole: its version, its command line, its types."""

import os
import subprocess
import sys

import pytest

import annulus


def run(*arguments, **options):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False,
                          **options)


def test_the_version_is_that_of_the_program():
    finished = run("-m", "annulus", "--version")
    assert finished.stdout.split()[:2] == ["annulus", annulus.__version__], finished.stderr


def test_exit_codes_are_those_of_the_program():
    finished = run("-m", "annulus", "plan", "--length", "many", "--ranks", "2")
    assert finished.returncode == 2 and "--length" in finished.stderr


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """Runs mypy over the package as it lies in the build."""
    cache = tmp_path_factory.mktemp("mypy")

    def mypy(*arguments):
        return run("-m", "mypy", "--cache-dir", str(cache), *arguments,
                   env=dict(os.environ, MYPYPATH=os.environ["PYTHONPATH"]))
    return mypy


def test_types(mypy):
    finished = mypy("--strict", "-p", "annulus")
    assert finished.returncode == 0, finished.stdout


CALLS = """\
import annulus
annulus.Problem("many")
annulus.make_plan(annulus.Problem(3))
annulus.comm.self().ranks
annulus.Problem(3).mask + 1
"""


def test_types_of_callers_are_checked(mypy, tmp_path):
    (tmp_path / "caller.py").write_text(CALLS)
    finished = mypy(str(tmp_path / "caller.py"))
    lines = {int(line.split(":")[1]) for line in finished.stdout.splitlines() if "error:" in line}
    assert lines == {2, 3, 4, 5}, finished.stdout


def test_all_is_there_and_has_words():
    for name in annulus.__all__:
        assert hasattr(annulus, name)
        if not name.startswith("__") and name != "git_commit":
            assert getattr(annulus, name).__doc__, name
