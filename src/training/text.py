"""The text that is read: the sources of Python's standard library, as bytes.

They are real, long, full of names that come back after thousands of bytes, and wherever this runs: Debian's
libpython3-stdlib has them, under the license of the Python Software Foundation (PSF-2.0).
"""

import sys
import sysconfig
from pathlib import Path

import torch

SOURCE = f"standard library of Python {sys.version.split()[0]}, PSF-2.0"
CLASSES = 256
HELD_OUT = 10  # a tenth of the text is for evaluation
NEEDLE = 16    # bytes of one
LETTERS = torch.tensor(list(b"abcdefghijklmnopqrstuvwxyz"))


def read_text():
    """(training, evaluation), uint8 bytes each: every tenth file is for evaluation."""
    folder = Path(sysconfig.get_path("stdlib"))
    files = [file for file in sorted(folder.glob("*.py")) + sorted(folder.glob("[a-z]*/*.py"))
             if not {"test", "tests", "site-packages", "dist-packages"} & set(file.parts)]
    parts = [torch.frombuffer(bytearray(file.read_bytes() or b"\n"), dtype=torch.uint8) for file in files]
    return (torch.cat([part for at, part in enumerate(parts) if at % HELD_OUT]),
            torch.cat([part for at, part in enumerate(parts) if at % HELD_OUT == 0]))


def sample(text, length, seed):
    """(length) int64 bytes from a place that the seed says."""
    generator = torch.Generator().manual_seed(seed)
    begin = torch.randint(len(text) - length, (1,), generator=generator)
    return text[begin:begin + length].long()


def plant(tokens, depths, seed):
    """Puts letters at random into the tokens, NEEDLE at each depth, from 0 to 1, and again, in another
    order, at the end: whoever finds them again knows the second half of each. Returns where, in the
    tokens, the second halves are."""
    generator = torch.Generator().manual_seed(seed)
    hay = len(tokens) - len(depths) * NEEDLE
    order = torch.randperm(len(depths), generator=generator).tolist()
    where = {}
    for at, depth in enumerate(depths):
        needle = LETTERS[torch.randint(len(LETTERS), (NEEDLE,), generator=generator)]
        begin = int(depth * (hay - NEEDLE))
        tokens[begin:begin + NEEDLE] = needle
        end = hay + order[at] * NEEDLE
        tokens[end:end + NEEDLE] = needle
        where[depth] = torch.arange(end + NEEDLE // 2, end + NEEDLE)
    return where
