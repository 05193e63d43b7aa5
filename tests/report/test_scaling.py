"""The report of scaling studies: what series come to, the table, and the page."""

import csv
import html.parser
import json
import re
import subprocess
import sys

import h5py
import numpy
import pytest

from conftest import ROOT
from scaling_file import read_scaling_file
from scaling_files import write_scaling
from scaling_series import SHARES, series_of, shares


def report(*arguments):
    return subprocess.run([sys.executable, str(ROOT / "src/report"), *map(str, arguments)],
                          capture_output=True, text=True, check=False)


class Tags(html.parser.HTMLParser):
    """What a page opens and does not close, what it loads, and its words."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize("kind", ["strong", "weak"])
@pytest.mark.parametrize("serial, ranks", [(0, (1, 2, 4, 8)), (0.02, (1, 2, 4, 8)),
                                           (0.3, (1, 3, 5)), (0, (2, 4, 16))])
def test_the_serial_fraction_is_found_again(tmp_path, kind, serial, ranks):
    file = read_scaling_file(write_scaling(tmp_path / "s.h5", kind, ranks=ranks, serial=serial))
    all_series = series_of(file)
    assert len(all_series) == 4
    for series in all_series:
        weak = kind == "weak"
        assert series.fitted_serial_fraction(weak) == pytest.approx(serial, abs=1e-12)
        numpy.testing.assert_allclose(series.serial_fractions(weak)[1:], serial, atol=1e-12)
        if serial == 0:
            numpy.testing.assert_allclose(series.efficiency, 1)
            numpy.testing.assert_allclose(series.speedup, numpy.array(ranks) / ranks[0])


def test_parts_add_up_to_the_whole(tmp_path):
    file = read_scaling_file(write_scaling(tmp_path / "s.h5"))
    for series in series_of(file):
        for i, point in enumerate(series.points):
            parts = shares(point)
            assert set(parts) == set(SHARES)
            assert sum(parts.values()) == pytest.approx(1)
            product = (series.kernel_speed[i] * parts["computing"]
                       / shares(series.points[0])["computing"])
            assert series.efficiency[i] == pytest.approx(product)
        losses = series.losses(-1)
        assert losses["slower kernels"] == pytest.approx(1 - series.kernel_speed[-1])
        assert losses["done early"] == pytest.approx(0.0375)  # 5 % of three ranks of four


def test_table_has_every_point(tmp_path):
    strong = write_scaling(tmp_path / "strong.h5", serial=0.25)
    weak = write_scaling(tmp_path / "weak.h5", "weak", finished=5)
    assert report(strong, weak, "--output", tmp_path / "out").returncode == 0
    with open(tmp_path / "out" / "sweep.csv", encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    assert [row["kind"] for row in rows] == ["strong"] * 12 + ["weak"] * 5
    four = next(row for row in rows if row["ranks"] == "4" and row["kind"] == "strong")
    assert float(four["speedup"]) == pytest.approx(1 / (0.25 + 0.75 / 4))
    assert float(four["efficiency"]) == pytest.approx(float(four["speedup"]) / 4)
    assert four["asked_schedule"] == "auto" and four["schedule"] == "node-ring"
    assert len(four["samples"].split()) == 3 and len(four["rank_seconds"].split()) == 4


def test_page_needs_nothing_else_and_names_what_matters(tmp_path):
    strong = write_scaling(tmp_path / "strong.h5", passes=("forward", "backward"))
    weak = write_scaling(tmp_path / "weak.h5", "weak", finished=7)
    done = report(strong, weak, "--output", tmp_path / "out", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads(done.stdout)
    text = (tmp_path / "out" / "index.html").read_text()
    assert written[-2:] == [str(tmp_path / "out" / name) for name in ("sweep.csv", "index.html")]
    tags = Tags(text)
    assert tags.open == []
    pictures = [path for path in written if path.endswith(".png")]
    assert len(tags.sources) == len(pictures) > 10
    assert all(source.startswith("data:image/svg+xml;base64,") for source in tags.sources)
    assert not re.search(r"https?://|@import|url\(|<script", text)
    words = " ".join(tags.words)
    for word in ("7 of 12 points are finished", "annulus bench strong <b>", "SLURM_JOB_ID=7",
                 "node1 (1 rank), node2 (1 rank)", "A CPU", "Serial fraction", "Transfers",
                 "losses above 1 %", "done early", 'kind = "weak"'):
        assert word in words, word
    assert "viewport" in text


def test_predictions_stand_beside_measurements_where_there_are_any(tmp_path):
    without = write_scaling(tmp_path / "a.h5")
    with_them = write_scaling(tmp_path / "b.h5", predicted=True)
    for path, some in ((without, False), (with_them, True)):
        done = report(path, "--output", tmp_path / "out")
        assert ("strong-prediction" in done.stdout) == some
        assert ("predicted" in (tmp_path / "out" / "index.html").read_text()) == some


def test_what_was_not_timed_is_said(tmp_path):
    path = write_scaling(tmp_path / "s.h5", verdict="INVALID")
    assert report(path, "--output", tmp_path / "out").returncode == 0
    text = (tmp_path / "out" / "index.html").read_text()
    assert "Not timed" in text and "INVALID" in text


@pytest.mark.parametrize("options", [{"finished": 0}, {"finished": 1}, {"ranks": (1,)},
                                     {"ranks": (3,)}, {"ranks": (1, 100)},
                                     {"lengths": tuple(range(64, 74))}])
def test_whatever_is_there_is_drawn(tmp_path, options):
    path = write_scaling(tmp_path / "s.h5", **options)
    done = report(path, "--output", tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")


def test_folder_by_default(tmp_path):
    path = write_scaling(tmp_path / "sweep.h5")
    assert report(path).returncode == 0
    assert (tmp_path / "sweep-report" / "index.html").exists()


def test_refusals(tmp_path):
    path = write_scaling(tmp_path / "s.h5")
    (tmp_path / "file").write_text("")
    with h5py.File(tmp_path / "damaged.h5", "w") as file:
        file.create_group("strong")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_group("phase")
    for arguments, says in ((["--format", "pdf"], "--format: pdf"),
                            (["--output", tmp_path / "file"], "--output"),
                            ([write_scaling(tmp_path / "t.h5")], "one file of each kind"),
                            ([tmp_path / "other.h5"], "only files of one kind")):
        done = report(path, *arguments)
        assert done.returncode == 2 and says in done.stderr, done.stderr
        assert done.stderr.count("\n") == 1
    done = report(tmp_path / "damaged.h5", "--output", tmp_path / "out")
    assert done.returncode == 2 and "damaged.h5: damaged" in done.stderr
    assert not (tmp_path / "out").exists()
