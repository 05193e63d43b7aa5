"""annulus/annulus.hpp includes every public header, and each may be included twice.

    python3 umbrella.py PROJECT_ROOT
"""

import re
import sys
from pathlib import Path


def main():
    include = Path(sys.argv[1]) / "include"
    umbrella = include / "annulus" / "annulus.hpp"
    included = set(re.findall(r'#include "([^"]+)"', umbrella.read_text()))
    present = {str(file.relative_to(include)) for file in include.rglob("*.hpp")}
    present.remove("annulus/annulus.hpp")
    for header in sorted(present - included):
        print(f"annulus.hpp leaves out {header}")
    for header in sorted(included - present):
        print(f"annulus.hpp includes {header}, which does not exist")
    unguarded = [header for header in sorted(present)
                 if not (include / header).read_text().startswith("#pragma once\n")]
    for header in unguarded:
        print(f"{header} does not begin with #pragma once")
    return 0 if included == present and not unguarded else 1


if __name__ == "__main__":
    sys.exit(main())
