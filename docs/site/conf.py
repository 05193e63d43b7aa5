"""The site for users, of README.md, docs/, the manual page and what is said in headers and docstrings.

Its root is that of the project, so that links are those of the documents as they lie. The build says where
its parts are: ANNULUS_SITE_PARTS has manual.html and the XML of Doxygen.
"""

import collections
import os
import pathlib
import re
from xml.etree import ElementTree

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARTS = pathlib.Path(os.environ["ANNULUS_SITE_PARTS"])

project = "Annulus"
release = os.environ["ANNULUS_VERSION"]
copyright = "the Annulus authors, Apache 2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "breathe"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/**"]
exclude_patterns = ["docs/site/contents.md"]

highlight_language = "none"  # of blocks that name none: what commands print
html_theme = "furo"
html_title = f"Annulus {release}"
html_copy_source = False
templates_path: list[str] = []

myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"

breathe_projects = {"annulus": str(PARTS / "xml")}
breathe_default_project = "annulus"
breathe_default_members = ("members", "undoc-members")
# Doxygen lists once more what a class takes over from its base by `using`.
# Names of namespaces and of other libraries have no page here.
nitpicky = True
nitpick_ignore_regex = [("cpp:identifier", ".*"), ("py:class", r"(?!annulus\b).*|annulus\.comm\.Result|annulus\.\w+\._.*")]
suppress_warnings = ["duplicate_declaration.cpp"]


class Manual(SphinxDirective):
    """The manual page, which mandoc has made HTML of: its sections are those of this page."""

    def run(self):
        html = (PARTS / "manual.html").read_text()
        _, *parts = re.split(r'<h[12] class="S[hs]" id="(.*?)"><a .*?>(.*?)</a></h[12]>', html, flags=re.DOTALL)
        sections = []
        for anchor, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            body = re.sub(r"</?section.*?>|</div>\s*<table class=.foot.*", "", body, flags=re.DOTALL)
            sections.append(nodes.section("", nodes.title("", " ".join(title.split())),
                                          nodes.raw("", body, format="html"), ids=[anchor]))
        return sections


class Headers(SphinxDirective):
    """What the public headers of a floor declare, header by header."""

    required_arguments = 1

    def run(self):
        folder = f"annulus/{self.arguments[0]}/"
        index = ElementTree.parse(PARTS / "xml" / "index.xml")
        found = sorted(declaration for compound in index.iter("compound")
                       if compound.get("kind") in ("class", "struct", "namespace")
                       for declaration in declarations(compound.get("refid"))
                       if declaration[0].startswith(folder))
        return self.parse_text_to_nodes("".join(
            f"```{{doxygen{kind}}} {name}\n```\n\n" for _, _, kind, name in found))


def declarations(compound):
    """(file, line, kind, name) of a class that is no part of another, or of each member of a namespace;
    specialisations go without saying. Functions have arguments where several have one name."""
    definition = ElementTree.parse(PARTS / "xml" / f"{compound}.xml").find("compounddef")
    name = definition.findtext("compoundname")
    parts = [(definition, name)]
    if definition.get("kind") == "namespace":
        members = [(member, member.findtext("qualifiedname")) for member in definition.iter("memberdef")]
        names = collections.Counter(name for _, name in members)
        parts = [(member, name + (member.findtext("argsstring") if names[name] > 1 else ""))
                 for member, name in members]
    elif name.rpartition("::")[0].rpartition("::")[2][:1].isupper():
        parts = []
    for part, name in parts:
        place = part.find("location")
        if "<" not in name.partition("(")[0]:
            yield place.get("file"), int(place.get("line")), part.get("kind"), name


# Lines of a docstring whose first column is names of arguments, as help() shows it.
COLUMNS = re.compile(r"([\w, ]*\w) {2,}(\S.*)")


def as_definitions(app, what, name, object_, options, lines):
    """Columns of names and their meaning as a definition list, indented paragraphs as code."""
    made, kind = [], "none"
    for line in lines:
        if line == "":
            kind = "none"
        elif found := COLUMNS.fullmatch(line):
            kind = "columns"
            made.append(found[1])
            line = "    " + found[2]
        elif kind == "columns":
            line = "    " + line.strip()
        elif kind == "none" and line.startswith(" "):
            kind = "code"
            made += ["::", ""]
        elif kind == "none":
            kind = "text"
        made.append(line)
    lines[:] = made


def add_contents(app, document, source):
    """The table of contents, which would be of no use in the README itself."""
    if document == root_doc:
        source[0] += "\n" + (ROOT / "docs" / "site" / "contents.md").read_text()


def setup(app):
    app.add_directive("headers", Headers)
    app.add_directive("manual", Manual)
    app.connect("autodoc-process-docstring", as_definitions)
    app.connect("source-read", add_contents)
