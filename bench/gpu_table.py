#!/usr/bin/env python3
"""The verdicts of launch/gpu_check: what was run, the figure, what is asked of it.

    bench/gpu_table.py FOLDER

Reads the files that launch/gpu_check leaves in FOLDER; what is not there was not run. First come the steps,
then all figures of which something is asked, by path (mma, hopper and cudnn: the kernels of every GPU, those
of compute capability 9.0, and the backend of that name), then the other figures. The exit code is 1
where a test failed or a result is wrong, and 2 where FOLDER is not one that launch/gpu_check leaves. A figure
that falls short of what is asked changes the verdict of its line alone.
"""

import collections
import itertools
import json
import pathlib
import sys

PATHS = ("mma", "hopper", "cudnn")
MASKS = ("full", "causal")

# What is asked of the speed in bf16 at n = 16384 and 16 heads, with both masks: the least of that of a
# backend of PyTorch, in the same run.
Speed = collections.namedtuple("Speed", "path which head_dims peer least")
SPEEDS = (
    Speed("hopper", "forward", (64, 128), "cudnn", 0.85),
    Speed("hopper", "backward", (128,), "cudnn", 0.75),
    Speed("mma", "forward", (64, 128), "flash", 0.90),
    Speed("mma", "backward", (64, 128), "flash", 0.85),
    Speed("cudnn", "forward", (64, 128), "cudnn", 0.95),
    Speed("cudnn", "backward", (64, 128), "cudnn", 0.95),
)
# The most that statistics of its rows may add to the time of a forward pass of such a shape.
STATISTICS = 0.10
STATISTICS_PATHS = ("mma", "hopper")
# The most time of 8 ranks on one GPU, in that of one, d = 128.
RING = 1.05
RINGS = ("full-forward", "causal-forward", "causal-backward")
RING_PATHS = ("mma", "hopper")
# The most time of gradients with the same bits every time, in that of sums in any order.
ORDER = 1.10
ORDER_PATHS = ("mma", "hopper", "cudnn")
# The least bandwidth with which a token reads its cache, in that of a copy.
DECODE = 0.80
# The most of an error in bf16 or fp16, in that of PyTorch in the same type: of the backend that the path's
# speed is compared with.
ERROR = 2.0
ERROR_PEERS = {"mma": "flash", "hopper": "cudnn", "cudnn": "cudnn"}

# What launch/gpu_check says of a step in place of an exit code.
UNFINISHED = {"-": "not run", "time": "LEFT OUT for time", "cut": "CUT SHORT for time"}

PEER_NAMES = {"flash": "FlashAttention 2", "cudnn": "cuDNN"}


def load(path):
    """The content of a file, or None where it is not there or cut short."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


class Verdicts:
    """Lines of the table."""

    def __init__(self):
        self.steps = []
        self.asked = []
        self.others = []
        self.failed = False

    def ran(self, check, code):
        """A program with its exit code, or what stands in place of one."""
        unfinished = UNFINISHED.get(code)
        verdict = unfinished or ("passed" if int(code) == 0 else "FAILED")
        self.failed = self.failed or verdict == "FAILED"
        self.steps.append((check, "" if unfinished else f"exit code {code}", "0", verdict))

    def compared(self, check, verdict):
        """A result that is not what the reference says."""
        self.failed = True
        self.steps.append((check, verdict, "VALID", "FAILED"))

    def figure(self, check, value, asked=None, *, most=False, form="{:.3f}"):
        """A number and the least that is asked of it, or with `most` the most."""
        figure = "" if value is None else form.format(value)
        if asked is None:
            self.others.append((check, figure, "-", "not measured" if value is None else "not asked"))
            return
        good = value is not None and (value <= asked if most else value >= asked)
        verdict = "not measured" if value is None else "met" if good else "MISSED"
        self.asked.append((check, figure, f"{'<=' if most else '>='} {form.format(asked)}", verdict))

    def text(self):
        parts = [[("check", "figure", "asked", "verdict"), *self.steps],
                 [("target", "figure", "asked", "verdict"), *self.asked],
                 [("other figure", "figure", "asked", "verdict"), *self.others]]
        widths = [max(len(row[i]) for part in parts for row in part) for i in range(4)]
        lines = ["\n".join(
            f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}  {row[3]}".rstrip()
            for row in part) for part in parts if len(part) > 1]
        return "\n\n".join([*lines, self.summary()])

    def summary(self):
        """How many targets are met, and which steps there was no time for."""
        of = collections.Counter(row[3] for row in self.asked)
        late = [row[0] for row in self.steps if row[3].endswith("for time")]
        return (f"targets: {of['met']} met, {of['MISSED']} missed, {of['not measured']} not measured\n"
                f"left out or cut short for time: {'; '.join(late) or 'nothing'}")


def rows_of(*contents):
    """The rows of some files, as far as these are there."""
    return [row for content in contents if content for row in content["rows"]]


def by(rows, *names):
    """Rows by some of their columns."""
    return {tuple(row[name] for name in names): row for row in rows}


def ratio(a, b):
    """None where one of them was not measured."""
    return a / b if a and b else None


def is_asked_of_statistics(path, case):
    precision, head_dim, mask, which = case
    return (path in STATISTICS_PATHS and which == "forward" and precision == "bf16" and
            head_dim in (64, 128) and mask in MASKS)


def least_speed(path, case, peer):
    """What is asked of a case beside a backend of PyTorch, or None."""
    precision, head_dim, mask, which = case
    return next((speed.least for speed in SPEEDS
                 if (speed.path, speed.which, speed.peer, precision) == (path, which, peer, "bf16") and
                 head_dim in speed.head_dims and mask in MASKS), None)


def asked_cases(path):
    """The cases of which something is asked, whether or not they were measured."""
    return [("bf16", head_dim, mask, speed.which)
            for speed in SPEEDS if speed.path == path
            for head_dim, mask in itertools.product(speed.head_dims, MASKS)]


def add_steps(verdicts, folder):
    """The exit codes, a line `NAME CODE` each, and what was not as the reference has it."""
    for line in (folder / "status").read_text().splitlines():
        verdicts.ran(*line.rsplit(" ", 1))
    for path in PATHS:
        verified = load(folder / f"verify-{path}.json")
        for one in verified["cases"] if verified else ():
            if one["verdict"] != "VALID":
                verdicts.compared(f"{path}: {one['name']}", one["verdict"])


def add_kernels(verdicts, path, rows, peers, unordered):
    """annulus beside PyTorch, without statistics beside with, and beside the product of the same run."""
    names = ("precision", "head_dim", "mask", "pass")
    ours = by(rows, *names, "statistics")
    ours_in_any_order = by(unordered, *names)
    theirs = by(rows_of(peers), "backend", *names)
    for case in dict.fromkeys([*asked_cases(path), *(key[:-1] for key in ours)]):
        precision, head_dim, mask, which = case
        label = f"{path} {which} {precision} d = {head_dim} {mask}"
        off, on = (ours.get((*case, statistics), {}) for statistics in ("off", "on"))
        # PyTorch lets cuDNN add in any order.
        any_order = path == "cudnn" and which == "backward"
        compared = ours_in_any_order.get(case, {}) if any_order else off
        for peer, peer_name in PEER_NAMES.items():
            asked = least_speed(path, case, peer)
            speed = ratio(theirs.get((peer, *case), {}).get("seconds"), compared.get("seconds"))
            if speed or asked:
                verdicts.figure(f"{label}{' in any order' if any_order else ''}: speed in that of PyTorch's "
                                f"{peer_name}", speed, asked)
        asked = STATISTICS if is_asked_of_statistics(path, case) else None
        cost = ratio(on.get("seconds"), off.get("seconds"))
        if on or asked:
            verdicts.figure(f"{label}: cost of statistics", cost and cost - 1, asked, most=True)
        if off:
            speed = off["flops_per_second"]
            verdicts.figure(f"{label}: TFLOP/s", speed and speed / 1e12, form="{:.1f}")
            verdicts.figure(f"{label}: of cuBLAS's product", off["fraction_of_gemm"])


def add_copies(verdicts, rows):
    copied = [row["copy_bytes_per_second"] for row in rows if row["copy_bytes_per_second"]]
    verdicts.figure("copies on the device, GB/s", max(copied) / 1e9 if copied else None, form="{:.0f}")


def add_rings(verdicts, path, folder):
    """Ranks that share a GPU: what the ring itself costs."""
    for name in RINGS:
        rows = by(rows_of(load(folder / f"ring-{path}-{name}.json")), "ranks")
        one, eight = (rows.get((ranks,), {}).get("seconds") for ranks in (1, 8))
        mask, which = name.split("-")
        verdicts.figure(f"{path} {which} bf16 d = 128 {mask}: time of a ring of 8 on one GPU in that of one rank",
                        ratio(eight, one), RING, most=True)


def add_order(verdicts, path, rows, unordered):
    """What the order of sums costs, which ANNULUS_CUDA_SUMS=unordered leaves out."""
    names = ("precision", "head_dim", "mask", "pass", "statistics")
    in_order = by(rows, *names)
    unordered = by(unordered, *names)
    for head_dim, mask in itertools.product((64, 128), MASKS):
        case = ("bf16", head_dim, mask, "backward", "off")
        cost = ratio(in_order.get(case, {}).get("seconds"), unordered.get(case, {}).get("seconds"))
        verdicts.figure(f"{path} backward bf16 d = {head_dim} {mask}: time of sums in order in that of any order",
                        cost, ORDER, most=True)


def add_decode(verdicts, folder):
    rows = rows_of(load(folder / "decode.json"))
    verdicts.figure("mma decode bf16, a token over 131072 keys, 32 heads on 8: bandwidth in that of a copy",
                    rows[0]["fraction_of_read_bandwidth"] if rows else None, DECODE)
    if rows:
        verdicts.figure("mma decode bf16: microseconds a token", rows[0]["seconds"] * 1e6, form="{:.0f}")


def add_errors(verdicts, path, folder, peers):
    """Largest errors against fp64: of each side for standard normal numbers of its own."""
    verified = load(folder / f"verify-{path}.json")
    ours = {(one["precision"], one["mask"]): one["outputs"] for one in (verified["cases"] if verified else ())
            if (one["ranks"], one["head_dim"]) == (1, 128) and "--backward" in one["arguments"]}
    theirs = by(peers["errors"] if peers else (), "backend", "precision", "mask", "head_dim")
    peer = ERROR_PEERS[path]
    for precision, mask in itertools.product(("bf16", "fp16"), MASKS):
        errors = {one["output"]: one["error"] for one in ours.get((precision, mask), ())}
        expected = theirs.get((peer, precision, mask, 128), {})
        for name in ("out", "dq", "dk", "dv"):
            verdicts.figure(f"{path} {precision} d = 128 {mask}: error of {name} in that of PyTorch's "
                            f"{PEER_NAMES[peer]}", ratio(errors.get(name), expected.get(name)), ERROR, most=True)


def capability_of(folder, kernels):
    """That of the GPU, or None where nothing says it."""
    info = load(folder / "info.json")
    said = [gpu["compute_capability"] for gpu in (info["gpus"] if info else ())]
    said += [kernel["compute_capability"] for kernel in kernels]
    return said[0] if said else None


def verdicts_of(folder):
    """The first line, which may be empty, and the verdicts."""
    peers = load(folder / "peers.json")
    kernels = {path: [content for name in (f"kernel-{path}", f"kernel-{path}-more")
                      if (content := load(folder / f"{name}.json"))] for path in PATHS}
    all_kernels = list(itertools.chain.from_iterable(kernels.values()))
    capability = capability_of(folder, all_kernels)
    verdicts = Verdicts()
    add_steps(verdicts, folder)
    # Of other GPUs nothing is asked that has to do with Hopper.
    for path in PATHS if capability == "9.0" else ("mma", "cudnn"):
        rows = rows_of(*kernels[path])
        unordered = rows_of(load(folder / f"kernel-{path}-unordered.json"))
        add_kernels(verdicts, path, rows, peers, unordered)
        if path in ORDER_PATHS:
            add_order(verdicts, path, rows, unordered)
        if path in RING_PATHS:
            add_rings(verdicts, path, folder)
        if path == "mma":
            add_decode(verdicts, folder)
        add_errors(verdicts, path, folder, peers)
    add_copies(verdicts, rows_of(*all_kernels))
    if not all_kernels:
        return "", verdicts
    kernel = all_kernels[0]
    return (f"{kernel['device']}, compute capability {capability}, {kernel['blas']}"
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
