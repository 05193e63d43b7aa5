#!/usr/bin/env python3
"""The verdicts of launch/gpu_check: what was run, the figure, what is asked of it.

    bench/gpu_table.py FOLDER

Reads the files that launch/gpu_check leaves in FOLDER; what is not there was not run. The exit code is 1
where a test failed or a result is wrong, and 2 where FOLDER is not one that launch/gpu_check leaves. A figure
that falls short of what is asked changes the verdict of its line alone.
"""

import json
import pathlib
import sys


def load(path):
    """The content of a file, or None where it is not there or cut short."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


class Verdicts:
    """Lines of the table."""

    def __init__(self):
        self.lines = []
        self.failed = False

    def ran(self, check, code):
        """A program with an exit code; None where it was not run."""
        verdict = {None: "not run", 0: "passed"}.get(code, "FAILED")
        self.failed = self.failed or verdict == "FAILED"
        self.lines.append((check, "" if code is None else f"exit code {code}", "0", verdict))

    def figure(self, check, value, asked=None, *, most=False, form="{:.3f}"):
        """A number and the least that is asked of it, or with `most` the most."""
        sign = "<=" if most else ">="
        wanted = "" if asked is None else f"{sign} {form.format(asked)}"
        if value is None:
            self.lines.append((check, "", wanted, "not measured"))
            return
        good = asked is None or (value <= asked if most else value >= asked)
        verdict = "" if asked is None else "met" if good else "MISSED"
        self.lines.append((check, form.format(value), wanted, verdict))

    def text(self):
        rows = [("check", "figure", "asked", "verdict"), *self.lines]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        return "\n".join(
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}".rstrip()
            for row in rows)


def rows_by(content, *names):
    """The rows of a file by some of their columns."""
    rows = content["rows"] if content else []
    return {tuple(row[name] for name in names): row for row in rows}


def ratio(a, b):
    """Null, as JSON says it, where one of them was not measured."""
    return a / b if a and b else None


def add_tests(verdicts, folder):
    """The exit codes, a line `NAME CODE` each."""
    for line in (folder / "status").read_text().splitlines():
        name, code = line.rsplit(" ", 1)
        verdicts.ran(name, None if code == "-" else int(code))


def add_kernels(verdicts, kernel, peers, path=""):
    """annulus beside the product of the same run and beside PyTorch. `path`: named in every line."""
    def label(case):
        return label_of(case) + path

    names = ("precision", "head_dim", "mask", "pass")
    ours = rows_by(kernel, *names, "statistics")
    theirs = rows_by(peers, "backend", *names)
    asked_of = {"forward": 0.95, "backward": 0.85}
    for (*case, statistics), row in ours.items():
        if statistics == "on":
            off = ours.get((*case, "off"))
            cost = ratio(row["seconds"], off["seconds"]) if off else None
            verdicts.figure(f"{label(case)}: cost of statistics", None if cost is None else cost - 1,
                            0.10 if is_asked(case) else None, most=True)
            continue
        verdicts.figure(f"{label(case)}: TFLOP/s",
                        row["flops_per_second"] and row["flops_per_second"] / 1e12, form="{:.1f}")
        verdicts.figure(f"{label(case)}: of cuBLAS's product", row["fraction_of_gemm"])
        for backend in ("flash", "cudnn"):
            peer = theirs.get((backend, *case))
            asked = asked_of[case[3]] if backend == "flash" and is_asked(case) else None
            if peer or asked is not None:
                verdicts.figure(f"{label(case)}: speed in that of PyTorch's {backend}",
                                ratio(peer and peer["seconds"], row["seconds"]), asked)
    if path:
        return
    copied = [row["copy_bytes_per_second"] for row in ours.values() if row["copy_bytes_per_second"]]
    verdicts.figure("copies on the device, GB/s", max(copied) / 1e9 if copied else None,
                    form="{:.0f}")


def is_asked(case):
    """What is asked is asked of bf16 at d = 128."""
    return tuple(case[:2]) == ("bf16", 128)


def label_of(case):
    precision, head_dim, mask, which = case
    return f"{precision} d = {head_dim} {mask} {which}"


def add_rings(verdicts, folder):
    """The time of eight ranks on one GPU in that of one: what the ring itself costs."""
    for name in ("full", "causal", "causal-backward"):
        rows = rows_by(load(folder / f"ring-{name}.json"), "ranks")
        one, eight = (rows.get((ranks,), {}).get("seconds") for ranks in (1, 8))
        cost = ratio(eight, one)
        verdicts.figure(f"bf16 d = 128 {name}: cost of a ring of 8 on one GPU",
                        None if cost is None else cost - 1, 0.05, most=True)


def add_errors(verdicts, folder, peers):
    """Largest errors against fp64: of each side for standard normal numbers of its own."""
    for precision in ("bf16", "fp16"):
        for mask in ("full", "causal"):
            verified = load(folder / f"verify-{precision}-{mask}.json")
            ours = {one["output"]: one["error"] for one in verified["outputs"]} if verified else {}
            theirs = next((row for row in peers["errors"] if row["backend"] == "flash" and
                           (row["precision"], row["mask"], row["head_dim"]) ==
                           (precision, mask, 128)), {}) if peers else {}
            for name in ("out", "dq", "dk", "dv"):
                verdicts.figure(f"{precision} d = 128 {mask}: error of {name} in PyTorch's",
                                ratio(ours.get(name), theirs.get(name)), 2, most=True)


def verdicts_of(folder):
    """The first line, which may be empty, and the verdicts."""
    kernel = load(folder / "kernel.json")
    peers = load(folder / "peers.json")
    verdicts = Verdicts()
    add_tests(verdicts, folder)
    add_kernels(verdicts, kernel, peers)
    add_kernels(verdicts, load(folder / "kernel-hopper.json"), peers, ", hopper")
    add_kernels(verdicts, load(folder / "kernel-cudnn.json"), peers, ", cudnn")
    add_rings(verdicts, folder)
    add_errors(verdicts, folder, peers)
    if not kernel:
        return "", verdicts
    return (f"{kernel['device']}, compute capability {kernel['compute_capability']}, "
            f"backend {kernel['backend']}, {kernel['blas']}"
            + (f", torch {peers['torch']}\n" if peers else ", without PyTorch\n")), verdicts


def main():
    if len(sys.argv) != 2:
        print("bench/gpu_table.py: expected one argument, the folder of launch/gpu_check", file=sys.stderr)
        return 2
    try:
        first, verdicts = verdicts_of(pathlib.Path(sys.argv[1]))
    except OSError as error:
        print(f"bench/gpu_table.py: {sys.argv[1]}: {error}; expected the folder of launch/gpu_check",
              file=sys.stderr)
        return 2
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        print(f"bench/gpu_table.py: {sys.argv[1]}: its files are not as launch/gpu_check leaves them "
              f"({type(error).__name__}: {error})", file=sys.stderr)
        return 2
    print(first + verdicts.text())
    return 1 if verdicts.failed else 0


if __name__ == "__main__":
    sys.exit(main())
