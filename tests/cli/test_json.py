"""What --json prints has the members that docs/json-output.md lists, no more and no fewer."""

import re

import numpy as np
import pytest

from conftest import ROOT
from inputs import random_problem, write

COMMANDS = {
    "attend": "in.h5 -o out.h5 --statistics --backward",
    "study": "a.toml -o study.h5",
    "report": "study.h5",
    "plan": "--length 9 --ranks 2 --mask causal --sharding contiguous",
    "plan --machine": "zen4 --length 9 --ranks 2",
    "verify": "--length 9",
    "info": "",
    "bench kernel": "--length 9 --head-dim 8 --repetitions 1",
    "bench strong": "--length 9 --repetitions 1",
    "bench weak": "--length 9 --repetitions 1",
    "bench decode": "--length 9 --tokens 1",
    "bench machine": "--output here.toml --precision fp32 --head-dim 8 --seconds 1",
}
# Objects or null, by the build; and the variables of a study.
OPEN = {"info": r"(mpi|hdf5|cuda|nccl|cudnn|gpus\[\])(\..*)?", "study": r"points\[\]\..*"}


def members(value, place=""):
    """The places of a document at which there are numbers, texts or nulls."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from members(member, f"{place}.{name}" if place else name)
    elif isinstance(value, list):
        for element in value or [None]:
            yield from members(element, place + "[]")
    else:
        yield place


def documented(command):
    page = (ROOT / "docs" / "json-output.md").read_text()
    section = page.split(f"\n## {command}\n")[1].split("\n## ")[0]
    if same := re.fullmatch("The members of `(.*)`.", section.strip()):
        return documented(same[1])
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return set(re.findall("`([^`]*)`", " ".join(rows)))


@pytest.mark.usefixtures("needs_hdf5")
@pytest.mark.parametrize("command", COMMANDS)
def test_members_are_those_of_the_page(annulus, tmp_path, command):
    write(random_problem(), tmp_path / "in.h5", dout=np.ones((29, 4, 16)))
    (tmp_path / "a.toml").write_text('kind = "needle"\nn = [9, 10]\nrho = 0.5\ngamma = [1, 2]\n')
    if command == "report":
        annulus.ok("study", "a.toml", "-o", "study.h5", cwd=tmp_path)
    printed = annulus.ok(*command.split(), *COMMANDS[command].split(), "--json", cwd=tmp_path).json
    found, listed = ({member for member in some if not re.fullmatch(OPEN.get(command, ""), member)}
                     for some in (members(printed), documented(command)))
    assert found == listed
