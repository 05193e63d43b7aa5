import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src" / "report"))
sys.path.insert(0, str(pathlib.Path(__file__).parent))


@pytest.fixture(scope="session")
def draw():
    """Pictures by name, for the paths of results files of one kind."""
    from results import read_results
    from studies import PICTURES

    def run(*paths):
        all_results = [read_results(path, PICTURES) for path in paths]
        pictures = PICTURES[all_results[0].kind](all_results)
        return {picture.name: picture.figure for picture in pictures}

    return run
