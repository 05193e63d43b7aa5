"""The program as it is run: what it writes, prints and refuses."""

import json
import os
import subprocess
import sys

import h5py
import numpy
import pytest

from conftest import ROOT
from error import ReportError
from output import common_stem, picture_paths
from study_files import write_study

GRID = {"rho": [0.25, 0.5, 0.75], "gamma": [0.0, 1.0, 2.0, 3.0]}


def report(*arguments, cwd=None):
    return subprocess.run([sys.executable, str(ROOT / "src/report"), *map(str, arguments)],
                          capture_output=True, text=True, cwd=cwd, check=False)


@pytest.fixture
def phase(tmp_path):
    return write_study(tmp_path / "run.h5", tokens="gaussian", n=[64], dimension=2, theory=False,
                       **GRID)


@pytest.fixture
def needle(tmp_path):
    return write_study(tmp_path / "needle.h5", "needle", n=[64], **GRID)


def test_pictures_lie_beside_the_file_and_are_named(phase, tmp_path):
    done = report("run.h5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["run-cosine.png", "run-contraction.png"]
    for name in done.stdout.splitlines():
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_same_file_gives_the_same_bytes(needle, tmp_path):
    for file_format in ("png", "pdf", "svg"):
        path = tmp_path / f"needle-against_gamma.{file_format}"
        written = []
        for _ in range(2):
            assert report(needle, "--format", file_format).stdout == f"{path}\n"
            written.append(path.read_bytes())
        assert written[0] == written[1]


def test_json_and_output_folder(phase, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    done = report(phase, "--output", folder, "--format", "svg", "--json")
    names = json.loads(done.stdout)
    assert names == [str(folder / "run-cosine.svg"), str(folder / "run-contraction.svg")]
    assert sorted(os.listdir(folder)) == sorted(map(os.path.basename, names))


def test_output_file_names_a_single_picture_exactly(needle, tmp_path):
    assert report(needle, "--output", tmp_path / "a.pdf").stdout == f"{tmp_path}/a.pdf\n"
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")


def test_output_file_is_the_stem_of_several_pictures():
    assert picture_paths(["x", "y"], ["in.h5"], "here.svg") == (["here-x.svg", "here-y.svg"], "svg")


def test_stem_of_several_files():
    assert common_stem(["a/phase-d2.h5"]) == "phase-d2"
    assert common_stem(["a/phase-d2.h5", "b/phase-d32.h5"]) == "phase"
    assert common_stem(["one.h5", "two.h5"]) == "one"


def test_a_picture_that_cannot_be_written_is_refused(tmp_path):
    from matplotlib.figure import Figure

    from output import write_pictures
    from page import Picture

    (tmp_path / "in-x.png").mkdir()
    with pytest.raises(ReportError, match=r"in-x\.png cannot be written: Is a directory"):
        write_pictures([Picture("x", Figure())], [str(tmp_path / "in.h5")])


def damaged(tmp_path, change):
    path = write_study(tmp_path / "damaged.h5", "needle", n=[64], **GRID)
    with h5py.File(path, "a") as file:
        change(file)
    return path


def without_scales(file):
    del file["needle/output"]
    file["needle/output"] = numpy.zeros((1, 3, 4))


def transposed_theory(file):
    del file["needle/theory/output"]
    file["needle/theory/output"] = numpy.zeros((4, 3))
    for dim, name in zip(file["needle/theory/output"].dims, ("gamma", "rho")):
        dim.attach_scale(file[f"needle/{name}"])


@pytest.mark.parametrize("change, message", [
    (lambda file: file.move("needle", "thread"), "expected one group of: /phase, /needle"),
    (lambda file: file.create_group("phase"), "expected one group of: /phase, /needle"),
    (lambda file: file.__delitem__("needle/finished"), "/needle/finished is missing"),
    (lambda file: file.__delitem__("needle/output"), "/needle holds no measured variables"),
    (without_scales, "/needle/output has no dimension scales"),
    (transposed_theory, "/needle/theory/output lies over ('gamma', 'rho')"),
    (lambda file: file.attrs.update(config="kind = "), "/needle is damaged"),
])
def test_other_files_are_refused(tmp_path, change, message):
    refused(report(damaged(tmp_path, change)), message)


def test_usage_errors(phase, needle, tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    refused(report(), "RESULTS.h5")
    refused(report(tmp_path / "absent.h5"), "absent.h5: no such file")
    refused(report(tmp_path), "cannot be read as an HDF5 file")
    refused(report(text), "text.h5: cannot be read as an HDF5 file")
    refused(report(phase, needle), "only files of one kind of study can be drawn together")
    refused(report(phase, "--format", "gif"), "--format: unknown format 'gif'; expected png, pdf")
    refused(report(phase, "--format", "pdf", "--output", "a.svg"), "--format: pdf contradicts")
    refused(report(phase, "--output", tmp_path / "absent" / "a.png"), "not a folder that exists")
    refused(report(phase, "--output", tmp_path / "absent"), "--output: ")
    refused(report(phase, "--colour"), "--colour")


def test_standard_output_that_cannot_be_written_is_a_failed_run(needle):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, str(ROOT / "src/report"), needle], stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "annulus report: standard output could not be written\n"


def refused(done, message):
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("annulus report: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
