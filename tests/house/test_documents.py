"""What the documents show runs, and prints what they say."""

import os
import pathlib

import pytest

from documents import Block, difference, marked_blocks, run

SOURCE = pathlib.Path(os.environ["ANNULUS_SOURCE"])
BUILD = pathlib.Path(os.environ["ANNULUS"]).parents[1]
DOCUMENTS = [path for path in [*sorted(SOURCE.glob("*.md")), *sorted(SOURCE.glob("docs/*.md"))]
             if marked_blocks(path.read_text())]


@pytest.fixture
def folder(tmp_path):
    """An empty folder with what a document takes from the root of the project."""
    for name in ("bench", "configs", "launch"):
        (tmp_path / name).symlink_to(SOURCE / name)
    (tmp_path / "build").symlink_to(BUILD)
    return tmp_path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document(path, folder):
    printed = ""
    for block in marked_blocks(path.read_text()):
        where = f"{path.relative_to(SOURCE)}:{block.line}"
        if block.marker == "run":
            try:
                printed = run(block, folder)
            except RuntimeError as error:
                pytest.fail(f"{where}: {error}", pytrace=False)
        elif found := difference(block, printed):
            pytest.fail(f"{where}\n{found}", pytrace=False)


def test_the_readme_is_among_them():
    assert SOURCE / "README.md" in DOCUMENTS


PRINTED = """\
time       141.3 ms, 121.8 GFLOP/s, 0 B sent
output       error    bound  verdict
out      1.014e-06  0.00109  VALID
lse      7.258e-07  0.00028  VALID
made by 542330c
"""


def said(text, marker="prints"):
    return Block(1, marker, "", text)


@pytest.mark.parametrize("old, new", [
    ("141.3 ms", "1.2 s"), ("141.3 ms", "845.4 us"), ("121.8 GFLOP/s", "1.1 TFLOP/s"), ("0 B", "16 MiB"),
    ("1.014e-06", "0.5"), ("542330c", "0edb38d1+changes"),
    ("1.014e-06", "6.66133814e-16"), ("output       error", "output error"),
    ("lse      7.258e-07  0.00028  VALID\n", "…\n"), ("made by 542330c\n", "made by 542330c\n…\n"),
])
def test_numbers_units_commits_and_spaces_may_differ(old, new):
    assert old in PRINTED
    assert not difference(said(PRINTED.replace(old, new)), PRINTED)


@pytest.mark.parametrize("old, new", [
    ("VALID", "INVALID"), ("error", "errors"), ("verdict", ""), ("0.00109", "0.00109 3"),
    ("0 B sent", "0 B"), ("141.3 ms", "141.3"), ("1.014e-06", "nan"), ("lse", "lse2"),
    ("made by 542330c\n", ""), ("made by 542330c\n", "made by 542330c\nand more\n"),
    ("lse      7.258e-07  0.00028  VALID\nmade", "…\nfade"),
])
def test_anything_else_may_not(old, new):
    assert old in PRINTED
    assert difference(said(PRINTED.replace(old, new)), PRINTED)


def test_exactly_is_to_the_letter():
    assert not difference(said(PRINTED, "prints exactly"), PRINTED)
    assert difference(said(PRINTED.replace("141.3", "141.4"), "prints exactly"), PRINTED)


def test_a_block_that_fails_is_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="exit code 3\nbefore"):
        run(Block(1, "run", "sh", "echo before\n(exit 3)\necho after\n"), tmp_path)


def test_a_marker_needs_a_block():
    with pytest.raises(ValueError, match="line 2"):
        marked_blocks("text\n<!-- run -->\n\n```sh\ntrue\n```\n")
