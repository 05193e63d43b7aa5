"""What docs/extending.md adds is a file and a line each, and works.

    python3 extensions.py PROJECT_ROOT BUILD_FOLDER

Adds what the page shows to a copy of the sources, configures that, compiles what is new or changed
with the very commands of the build, links it with the objects and libraries of BUILD_FOLDER, and
runs the commands of the page.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

SECTION = re.compile(
    r"^## A[n]? (?P<what>[^\n]+)\n.*?`(?P<file>src/[^`]+)`.*?^```cpp\n(?P<code>.*?)^```\n"
    r"\nA line in `(?P<registry>[^`]+)`:\n\n```cpp\n(?P<line>[^\n]+)\n```\n"
    r"\nThen\n\n```sh\n(?P<commands>.*?)^```$", re.MULTILINE | re.DOTALL)
CACHED = re.compile(
    r"^((?:ANNULUS_(?:MPI|HDF5|CUDA|NCCL|CUDNN|OPENMP|SANITIZE|WARNINGS_AS_ERRORS|PYTHON)"
    r"|CUDNN_FRONTEND_INCLUDE_DIR"  # which a build finds beside itself
    r"|CMAKE_(?:BUILD_TYPE|CXX_COMPILER|CXX_COMPILER_LAUNCHER|CXX_FLAGS)):\w+=.*)$", re.MULTILINE)
FLOORS = {"attention", "studies", "comm", "kernels"}


def sections(page):
    """The parts of the page; one for each floor."""
    found = [match.groupdict() for match in SECTION.finditer(page)]
    assert len(found) == page.count("\n## "), "a section that does not have the form of the others"
    assert {Path(section["file"]).parts[1] for section in found} == FLOORS
    return found


def add(section, root):
    """Adds a file, and a line before the last one of the list."""
    file, registry = root / section["file"], root / section["registry"]
    assert not file.exists(), file
    file.parent.mkdir(exist_ok=True)
    file.write_text(section["code"])
    text, added = re.subn(r"^(#define ANNULUS_\w+\(\w+\) +\\\n(?:.*\\\n)*)",
                          lambda match: match[0] + section["line"] + "\n", registry.read_text(),
                          count=1, flags=re.MULTILINE)
    assert added == 1, registry
    registry.write_text(text)


def run(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def configure(root, fresh, build):
    """A build folder of `root` that is set up as `build`, but compiles every file by itself."""
    cached = CACHED.findall((build / "CMakeCache.txt").read_text())
    run("cmake", "-G", "Ninja", "-S", root, "-B", fresh, "-DANNULUS_TESTS=OFF",
        *(f"-D{entry}" for entry in cached))


def commands_for(library, folder):
    return run("ninja", "-C", folder, "-t", "commands", library).splitlines()


def build_floor(floor, added, registry, fresh, build):
    """Compiles the added file and the registry, and links them into fresh/lib with what is in `build`."""
    names = sorted((build / "lib").glob(f"libannulus_{floor}.so.*.*.*"))
    assert names, f"{build} has no shared library of {floor}"
    library = f"lib/{names[0].name}"
    objects = []
    for file in (added, registry):
        compile_it = [command for command in commands_for(library, fresh)
                      if command.endswith(f"-c {file}")]
        assert len(compile_it) == 1, f"{file} is not part of {library}"
        run("sh", "-c", compile_it[0], cwd=fresh)
        objects.append(re.search(r" -o (\S+\.o) ", compile_it[0])[1])

    link = [command for command in commands_for(library, build) if f" -o {library} " in command]
    assert len(link) == 1 and link[0].count(f" {objects[1]} ") == 1
    (fresh / "lib").mkdir(exist_ok=True)
    link = link[0].replace(f" {objects[1]} ", "".join(f" {fresh / name} " for name in objects))
    run("sh", "-c", link.replace(f" -o {library} ", f" -o {fresh / library} "), cwd=build)
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
        for section in added:
            floor = Path(section["file"]).parts[1]
            build_floor(floor, copy / section["file"], copy / section["registry"], fresh, build)
        environment = {**os.environ, "LD_LIBRARY_PATH": str(fresh / "lib"),
                       "PATH": f"{build / 'bin'}:{os.environ['PATH']}"}
        for section in added:
            print(run("bash", "-euo", "pipefail", "-c", section["commands"], cwd=folder,
                      env=environment))
        # Whoever looks for them finds them, and those that were there stay.
        help_text = run("annulus", "verify", "--help", env=environment)
        for name in ("polylog", "pair", "exact", "ssmax", "threads:P", "reference"):
            assert re.search(rf"\b{name}\b", help_text), f"--help does not name {name}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
