"""Compiles the kernels for compute capability 9.0, which other builds of the tests do not, and checks what the
assembler says of them: that warpgroups hand registers over, and that no product is put after another unasked.

    python3 hopper_code.py --nvcc NVCC --source PROJECT_ROOT
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Words that are stored to memory and loaded again, of those kernels that have any.
SPILLS = {
    # Of both warps that bring.
    "HopperGradientKernel<64>": 4,
    "HopperGradientKernel<128>": 4,
}

KERNELS = {
    *(f"HopperForwardKernel<{dim}{statistics}>" for dim in (64, 128, 256) for statistics in ("", ", with statistics")),
    *(f"HopperQueryGradientKernel<{dim}>" for dim in (64, 128, 256)),
    *(f"HopperKeyGradientKernel<{dim}>" for dim in (64, 128, 256)),
    *(f"HopperGradientKernel<{dim}>" for dim in (64, 128)),
}


def kernel_name(mangled):
    """As in SPILLS, whatever the type of elements."""
    kind, dim = re.search(r"(Hopper\w+?Kernel)I.*?Li(\d+)E", mangled).groups()
    # enum class Statistics { off, on }
    statistics = ", with statistics" if "StatisticsE1" in mangled else ""
    return f"{kind}<{dim}{statistics}>"


def complaints(text):
    """What the assembler's report has that it must not have."""
    found = [line for line in text.splitlines() if re.search(r"\(C75\d\d\)", line)]
    kernels = re.findall(r"Compiling entry function '(\S+)'.*?(\d+) bytes spill stores", text, re.DOTALL)
    for mangled, stored in kernels:
        if "Hopper" not in mangled:  # a kernel of rows, which any build has
            continue
        name = kernel_name(mangled)
        words = int(stored) // 4
        if words > SPILLS.get(name, 0):
            found.append(f"{name} spills {words} words; expected at most {SPILLS.get(name, 0)}")
    missing = KERNELS - {kernel_name(mangled) for mangled, _ in kernels if "Hopper" in mangled}
    found += [f"{name} is not in the report" for name in sorted(missing)]
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nvcc", required=True)
    parser.add_argument("--source", required=True, type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [options.nvcc, "-std=c++20", "-O3", "--expt-relaxed-constexpr", f"-I{options.source / 'src'}",
             f"-I{options.source / 'include'}", "-gencode", "arch=compute_90a,code=sm_90a", "-Xptxas=-v",
             "-cubin", "-o", f"{folder}/hopper.cubin",
             options.source / "src/kernels/cuda/nvcc/hopper_bfloat16.cu"],
            capture_output=True, text=True, check=False)
    report = done.stdout + done.stderr
    if done.returncode != 0:
        print(report)
        return 1
    found = complaints(report)
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
