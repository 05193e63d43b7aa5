"""The commands that the documents show, and what the documents say they print.

Comments that GitHub hides mark blocks of code:

    <!-- run -->             a block of sh or python, which runs
    <!-- prints -->          what the block that ran before prints, line by line. Words and columns
                             agree; numbers, the units of times, sizes and speeds, and commits may
                             be others. A line of … stands for any lines
    <!-- prints exactly -->  the same to the letter
"""

import dataclasses
import difflib
import re
import subprocess
import sys

MARKER = re.compile(r"^<!-- (run|prints)\b", re.MULTILINE)
BLOCK = re.compile(r"^<!-- (run|prints|prints exactly) -->\n```(\w*)\n(.*?)^```$",
                   re.MULTILINE | re.DOTALL)
# Not by standard input, which mpirun reads to its end.
SHELLS = {"sh": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}
ANY_LINES = "…"
SAME = [  # what may differ, and what stands for it; in this order
    (r"(?<![\w.])(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{7,40}(\+changes)?(?![\w.+-])", "#"),  # a commit
    (r"(?<!\w)(?<!\w\.)[-+−]?\d+(\.\d+)?(e[-+]?\d+)?(?!\w|\.\w)", "#"),
    (r"# (ns|us|µs|ms|s|min|h)\b", "# TIME"),
    (r"# ([KMGT]iB|B)\b", "# SIZE"),
    (r"# [kMGTP]?FLOP/s", "# SPEED"),
]


@dataclasses.dataclass(frozen=True)
class Block:
    """A marked block; `line` is that of its marker, from 1."""

    line: int
    marker: str
    language: str
    text: str


def marked_blocks(document):
    """The marked blocks of a document, in order; throws ValueError where a marker has no block."""
    blocks = {match.start(): Block(document.count("\n", 0, match.start()) + 1, *match.groups())
              for match in BLOCK.finditer(document)}
    for match in MARKER.finditer(document):
        if match.start() not in blocks:
            line = document.count("\n", 0, match.start()) + 1
            raise ValueError(f"line {line}: a marker without a block of code beneath it")
    return list(blocks.values())


def run(block, folder):
    """What a block prints in `folder`; throws RuntimeError where it fails."""
    done = subprocess.run([*SHELLS[block.language], block.text], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def difference(block, printed):
    """How what was printed differs from what the block says, as lines of a diff; else empty."""
    expected, got = (text.splitlines() if block.marker == "prints exactly" else
                     [comparable(line) for line in text.splitlines()]
                     for text in (block.text, printed))
    pattern = "".join(r"(?:.*\n)*" if line == ANY_LINES else re.escape(line) + r"\n"
                      for line in expected)
    if re.fullmatch(pattern, "".join(line + "\n" for line in got)):
        return ""
    return "\n".join(difflib.unified_diff(expected, got, "document", "printed", lineterm=""))


def comparable(line):
    """A line with signs in place of what may differ, and one space between words."""
    for pattern, sign in SAME:
        line = re.sub(pattern, sign, line)
    return " ".join(line.split())
