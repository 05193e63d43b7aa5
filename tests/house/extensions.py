"""What docs/extending.md adds is a file and a line each, and works.

    python3 extensions.py PROJECT_ROOT BUILD_FOLDER

Adds what the page shows to a copy of the sources, configures that, compiles what is new or changed
with the very commands of the build, links it with the objects and libraries of BUILD_FOLDER, and
runs the commands of the page.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import new_statistic
from commands import commands_for, run

SECTION = re.compile(
    r"^## A[n]? (?P<what>[^\n]+)\n.*?`(?P<file>src/[^`]+)`.*?^```cpp\n(?P<code>.*?)^```\n"
    r"\n(?:A line|Its include and its name) in `(?P<registry>[^`]+)`:\n"
    r"\n```cpp\n(?P<lines>(?:[^\n]+\n)+)```\n"
    r"\nThen\n\n```sh\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)
LIST = re.compile(r"^(?:#define ANNULUS_\w+\(\w+\) +\\\n(?:.*\\\n)*|using All = List<\n(?:.*,\n)*)",
                  re.MULTILINE)
INCLUDES = re.compile(r'^(?:#include "[^"]*"\n)+', re.MULTILINE)
CACHED = re.compile(
    r"^((?:ANNULUS_(?:MPI|HDF5|CUDA|NCCL|CUDNN|OPENMP|SANITIZE|WARNINGS_AS_ERRORS|PYTHON)"
    r"|CUDNN_FRONTEND_INCLUDE_DIR"  # which a build finds beside itself
    r"|CMAKE_(?:BUILD_TYPE|CXX_COMPILER|CXX_COMPILER_LAUNCHER|CXX_FLAGS)):\w+=.*)$", re.MULTILINE)
ADDED = ["a logit scale", "a kind of study", "a transport", "a backend", "a statistic"]


def sections(page):
    """The parts of the page; one for each kind of thing."""
    found = [match.groupdict() for match in SECTION.finditer(page)]
    assert len(found) == page.count("\n## "), "a section that does not have the form of the others"
    assert ["a " + section["what"] for section in found] == ADDED
    return found


def add(section, root):
    """Adds a file, an include if there is one, and a line before the last one of the list."""
    file, registry = root / section["file"], root / section["registry"]
    assert not file.exists(), file
    file.parent.mkdir(exist_ok=True)
    file.write_text(section["code"])
    text = registry.read_text()
    for line in section["lines"].splitlines(keepends=True):
        place = INCLUDES if line.startswith("#include") else LIST
        text, added = place.subn(lambda match, line=line: match[0] + line, text, count=1)
        assert added == 1, registry
    registry.write_text(text)


def compiled_files(section, root):
    """What is compiled of an added file and its list, of which each may be a header."""
    listed = root / section["registry"]
    files = [root / section["file"], listed, listed.with_name("registry.cpp")]
    return {file for file in files if file.suffix == ".cpp" and file.exists()}


def configure(root, fresh, build):
    """A build folder of `root` that is set up as `build`, but compiles every file by itself."""
    cached = CACHED.findall((build / "CMakeCache.txt").read_text())
    run("cmake", "-G", "Ninja", "-S", root, "-B", fresh, "-DANNULUS_TESTS=OFF",
        *(f"-D{entry}" for entry in cached))


def build_floor(floor, files, fresh, build):
    """Compiles `files`, and links them into fresh/lib with what is in `build`."""
    names = sorted((build / "lib").glob(f"libannulus_{floor}.so.*.*.*"))
    assert names, f"{build} has no shared library of {floor}"
    library = f"lib/{names[0].name}"
    link = [command for command in commands_for(library, build) if f" -o {library} " in command]
    assert len(link) == 1
    link, added = link[0], ""
    for file in sorted(files):
        compile_it = [command for command in commands_for(library, fresh)
                      if command.endswith(f"-c {file}")]
        assert len(compile_it) == 1, f"{file} is not part of {library}"
        run("sh", "-c", compile_it[0], cwd=fresh)
        name = re.search(r" -o (\S+\.o) ", compile_it[0])[1]
        link, replaced = re.subn(f" {re.escape(name)} ", f" {fresh / name} ", link)
        if replaced == 0:
            added += f" {fresh / name}"
    (fresh / "lib").mkdir(exist_ok=True)
    run("sh", "-c", link.replace(f" -o {library} ", f" -o {fresh / library}{added} "), cwd=build)
    short = re.sub(r"\.\d+\.\d+$", "", names[0].name)
    (fresh / "lib" / short).symlink_to(names[0].name)


def main():
    root, build = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        copy, fresh = Path(folder) / "project", Path(folder) / "build"
        shutil.copytree(root, copy, ignore=lambda where, names: [
            name for name in names if name in {".git", "tests"} or Path(where, name) == build])
        added = sections((copy / "docs" / "extending.md").read_text())
        for section in added:
            add(section, copy)
        configure(copy, fresh, build)
        files = {}
        for section in added:
            files.setdefault(Path(section["file"]).parts[1], set()).update(
                compiled_files(section, copy))
        for floor, of_floor in files.items():
            build_floor(floor, of_floor, fresh, build)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(fresh / "lib"),
                       "PATH": f"{build / 'bin'}:{os.environ['PATH']}"}
        for section in added:
            print(run("bash", "-euo", "pipefail", "-c", section["commands"], cwd=folder,
                      env=environment))
        # Whoever looks for them finds them, and those that were there stay.
        help_text = run("annulus", "verify", "--help", env=environment)
        for name in ("polylog", "pair", "exact", "ssmax", "threads:P", "reference"):
            assert re.search(rf"\b{name}\b", help_text), f"--help does not name {name}"
        new_statistic.check(copy, build, fresh, environment)
    return 0


if __name__ == "__main__":
    sys.exit(main())
