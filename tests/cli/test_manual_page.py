"""The manual page has what --help says on every level, in troff that man(1) can read."""

import re
import shutil
import subprocess

import pytest


@pytest.fixture(scope="module")
def page(annulus):
    return annulus.ok("--manual").out


def commands(annulus, *above):
    """All commands under one, without those that only group others."""
    text = annulus.ok(*above, "--help").out
    listed = re.search(r"^Subcommands:\n((?:  .*\n)+)", text, re.MULTILINE)
    if listed is None:
        return [(" ".join(above), text)]
    names = re.findall(r"^  (\S+)  ", listed.group(1), re.MULTILINE)
    return [each for name in names for each in commands(annulus, *above, name)]


def shown(text):
    """Words as they are printed."""
    return re.sub(r"\\f[BR]|\\&", "", text).replace("\\-", "-").replace("\\e", "\\")


def test_every_command_has_every_option(annulus, page):
    found = commands(annulus)
    assert {"attend", "bench strong"} <= {name for name, _ in found}
    sections = dict(re.findall(r"^\.SS annulus (.*)\n((?:(?!\.S).*\n)*)", page, re.MULTILINE))
    assert list(map(shown, sections)) == [name for name, _ in found]
    for (name, text), section in zip(found, sections.values(), strict=True):
        options = re.findall(r"^  (-\S+(?: [A-Z=]\S*)*)  +(.*)$", text, re.MULTILINE)
        assert len(options) > 1, name
        for option, says in options:
            assert f".TP\n{option}\n{says}\n" in shown(section), (name, option)


def test_positional_arguments_and_what_help_adds(page):
    assert r"\fBannulus study\fR [OPTIONS] config" in page
    assert "Kinds of study" in shown(page)
    assert "Exit codes: 0 success" in page.split(".SH NOTES")[1]


def test_the_page_is_well_formed(page):
    if shutil.which("mandoc") is None:
        pytest.skip("mandoc is not here")
    linted = subprocess.run(
        ["mandoc", "-Tlint", "-Wwarning"],
        input=page,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # A page that is made by a build has the date of nothing.
    said = [line for line in linted.stdout.splitlines() if "missing date" not in line]
    assert not said
    text = subprocess.run(
        ["mandoc", "-Tutf8"], input=page, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert "COMMANDS" in re.sub(".\b", "", text)
