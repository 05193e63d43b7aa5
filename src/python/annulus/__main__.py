"""`python -m annulus` is the command line `annulus`."""

import os
import sys
from pathlib import Path
from typing import NoReturn

_HERE = Path(__file__).parent


def main() -> NoReturn:
    """Becomes the program: beside the modules where they are installed, else as CMake built it."""
    for program in (_HERE / "bin" / "annulus", _HERE.parent.parent / "bin" / "annulus"):
        if program.exists():
            os.execv(program, ["annulus", *sys.argv[1:]])
    sys.exit(f"annulus: no program in {_HERE / 'bin'}; install the package again")


if __name__ == "__main__":
    main()
