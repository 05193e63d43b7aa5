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

from documents import difference, marked_blocks, run

ROOT = pathlib.Path(os.environ["ANNULUS_SOURCE"])
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "python.md", ROOT / "docs" / "training.md"]
WITHOUT_TRANSFORMERS = "CI" not in os.environ and not importlib.util.find_spec("transformers")


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
        if block.marker == "run" and WITHOUT_TRANSFORMERS and "transformers" in block.text:
            warnings.warn(f"{where} is skipped: there is no transformers here", stacklevel=1)
            printed = None
        elif block.marker == "run":
            try:
                printed = run(block, folder)
            except RuntimeError as error:
                pytest.fail(f"{where}: {error}", pytrace=False)
        elif printed is not None and (found := difference(block, printed)):
            pytest.fail(f"{where}\n{found}", pytrace=False)
