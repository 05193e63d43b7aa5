"""clang-tidy has nothing to say about the sources under src.

    python3 tidy.py CLANG_TIDY BUILD_FOLDER [--jobs N]

Reads the compile commands of a build folder and takes out of them what only GCC reads.
"""

import argparse
import concurrent.futures
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The headers of cuDNN's frontend alone would take minutes.
LEFT_OUT = {"src/kernels/cudnn/library.cpp"}


def for_clang(arguments):
    """The command without precompiled headers and warnings, which are the compiler's matter."""
    kept, words = [], iter(arguments)
    for word in words:
        if word == "-include":
            next(words)
        elif not word.startswith("-W") and word != "-fopenmp":
            # There is no omp.h that is not GCC's.
            kept.append(word.replace("ANNULUS_HAVE_OPENMP=1", "ANNULUS_HAVE_OPENMP=0"))
    return kept


def sources_of(file, folder):
    """The C++ files under src that are compiled with `file`: itself, or what it puts together."""
    if file.is_relative_to(folder / "src"):
        included = re.findall(r'^#include "(.*)"$', file.read_text(), re.MULTILINE)
        return [Path(name).relative_to(ROOT) for name in included if Path(name).is_relative_to(ROOT / "src")]
    return [file.relative_to(ROOT)] if file.is_relative_to(ROOT / "src") else []


def compile_commands(folder):
    """Those of C++ under src, and all files that they compile."""
    commands, sources = [], set()
    for entry in json.loads((folder / "compile_commands.json").read_text()):
        file = Path(entry["file"])
        found = {str(name) for name in sources_of(file, folder)
                 if name.suffix == ".cpp"} - LEFT_OUT
        if found:
            sources |= found
            commands.append({"directory": entry["directory"], "file": str(file),
                             "arguments": for_clang(shlex.split(entry["command"]))})
    return commands, sources


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clang_tidy")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()

    folder = options.folder.resolve()
    database = folder / "tidy"
    database.mkdir(exist_ok=True)
    commands, sources = compile_commands(folder)
    everything = {str(file.relative_to(ROOT)) for file in (ROOT / "src").glob("**/*.cpp")}
    (database / "compile_commands.json").write_text(json.dumps(commands))

    def check(file):
        start = time.monotonic()
        process = subprocess.run([options.clang_tidy, "--quiet", "-p", database, file],
                                 capture_output=True, text=True, check=False)
        if process.returncode:
            print(process.stdout + process.stderr, flush=True)
        return process.returncode, time.monotonic() - start, file

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(check, sorted(command["file"] for command in commands)))
    failed = sum(code != 0 for code, _, _ in results)
    print(f"{len(sources)} of {len(everything)} files, {failed} findings; what took longest:")
    for _, seconds, file in sorted(results, key=lambda result: -result[1])[:5]:
        print(f"{seconds:6.1f} s  {file}")
    print("not part of this build:", *sorted(everything - sources))
    return 1 if failed or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
