"""No include and no link points up, and siblings do not know each other.

    python3 floors.py PROJECT_ROOT

Reads every #include of the project's own headers under include/annulus and src, and the floors that
each src/FLOOR/CMakeLists.txt links.
"""

import re
import sys
import tempfile
from pathlib import Path

# Floors of equal height never include each other.
HEIGHT = {"base": 0, "attention": 1, "plan": 2, "device": 3, "kernels": 4, "comm": 4,
          "ring": 5, "results": 5, "studies": 6, "measure": 6, "verify": 6, "run": 6, "sweep": 7,
          "c": 8, "cli": 8, "python": 8, "simulate": 9}


def floor_of(path):
    """The floor of a path relative to include/annulus or src; None for files above all floors."""
    return path.parts[0] if path.parts[0] in HEIGHT else None


def violations(root):
    """Lines that say what points where it must not; and the number of includes and links seen."""
    found, seen = [], 0
    for base in (root / "include" / "annulus", root / "src"):
        for file in sorted(base.rglob("*.[ch]pp")):
            floor = floor_of(file.relative_to(base))
            if floor is None:
                continue
            for included in re.findall(r'^\s*#\s*include\s+"(?:annulus/)?([^"]+)"',
                                       file.read_text(), re.MULTILINE):
                other = floor_of(Path(included))
                if other is None:
                    continue
                seen += 1
                if other != floor and HEIGHT[other] >= HEIGHT[floor]:
                    found.append(f"{file.relative_to(root)} of {floor} includes {included}")
    for file in sorted((root / "src").glob("*/CMakeLists.txt")):
        floor = file.parent.name
        for other in re.findall(r"\bannulus(?:_|::)(\w+)", file.read_text()):
            if other not in HEIGHT or other == floor:
                continue
            seen += 1
            if HEIGHT[other] >= HEIGHT[floor]:
                found.append(f"{file.relative_to(root)} links {other}")
    return found, seen


def check_that_the_check_can_fail():
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "include/annulus/plan").mkdir(parents=True)
        (root / "src/kernels").mkdir(parents=True)
        (root / "include/annulus/plan/a.hpp").write_text('#include "annulus/ring/b.hpp"\n')
        (root / "src/kernels/a.cpp").write_text('#include "comm/b.hpp"\n#include "plan/c.hpp"\n')
        (root / "src/kernels/CMakeLists.txt").write_text("LINKS annulus_studies annulus_plan\n")
        found, seen = violations(root)
        assert (len(found), seen) == (3, 5), (found, seen)


def main():
    check_that_the_check_can_fail()
    found, seen = violations(Path(sys.argv[1]))
    print("\n".join(found) or f"{seen} includes and links, all downwards")
    return 1 if found or seen < 100 else 0


if __name__ == "__main__":
    sys.exit(main())
