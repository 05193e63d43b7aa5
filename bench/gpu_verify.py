#!/usr/bin/env python3
"""Every combination of what a path on the GPU can do, against the fp64 reference, for launch/gpu_check.

    bench/gpu_verify.py --path mma|hopper|cudnn --output FILE.json [--annulus PROGRAM] [--seconds N] [--jobs N]

Types x masks x one rank, and three that are threads with striped shards: `verify --backward` compares
outputs, statistics and gradients, `bench strong`, which checks before it measures, both passes without
statistics, and `verify --decode` a cache. Where a path lacks something, that is left out: Hopper has no
fp32; cuDNN neither fp32, nor windows, statistics or caches. A combination that takes more than N seconds
(20) is ended. The exit code is 1 where one is not VALID.

They are 27 processes of mma, 18 of Hopper and 8 of cuDNN. Each takes about a second to start on a GPU and
one to four on one core of the host for the reference, so some run side by side (--jobs, 4): of all three
paths half a minute or so.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# Three ranks have 129 or 130 rows each, so that no tile of 64 or 128 divides a shard.
LENGTH = 389
# bench/gpu_peers.py has the errors of PyTorch at the same sizes as those of one rank.
HEADS, HEAD_DIM = 4, 128
MASKS = ("full", "causal", "window:100,30")
STRIPED = ["--transport", "threads:3", "--sharding", "striped"]


def case(command, precision, mask, ranks, head_dim, *options):
    """A combination: what it is, and the command for it."""
    name = f"{' '.join(command)}, {precision}, {mask}, P = {ranks}"
    arguments = [*command, "--length", LENGTH, "--heads", HEADS, "--head-dim", head_dim, "--mask", mask,
                 "--precision", precision, "--threads", 1, "--json", *options]
    return {"name": name, "precision": precision, "mask": mask, "ranks": ranks, "head_dim": head_dim,
            "arguments": [str(one) for one in arguments]}


def cases(path):
    types = ("fp32", "bf16", "fp16") if path == "mma" else ("bf16", "fp16")
    masks = MASKS[:2] if path == "cudnn" else MASKS
    if path != "cudnn":  # which verify asks for no statistics
        for precision in types:
            yield case(["bench", "strong"], precision, ",".join(masks), "1,3", 64, "--pass", "forward,backward",
                       "--ranks", "1,3", "--key-heads", 2, "--repetitions", 1, "--progress", "never", *STRIPED)
    for precision, mask in itertools.product(types, masks):
        yield case(["verify", "--backward"], precision, mask, 1, HEAD_DIM)
        yield case(["verify", "--backward"], precision, mask, 3, 64, "--key-heads", 2, *STRIPED)
    if path == "cudnn":
        return
    # Nothing may look ahead. Hopper's kernels are those of chunks; tokens have too few queries for them.
    for index, precision in enumerate(types):
        pair = ("causal", "window:100") if index % 2 == 0 else ("window:100", "causal")
        yield case(["verify", "--decode"], precision, pair[0], 1, HEAD_DIM, "--key-heads", 2)
        yield case(["verify", "--decode"], precision, pair[1], 3, 64, "--key-heads", 2, *STRIPED[:2])


def verdict_of(finished):
    """By the exit code, and by what the output says of itself."""
    if finished.returncode != 0:
        says = (finished.stderr.strip().splitlines() or [""])[-1]
        return f"exit code {finished.returncode}" + (f": {says}" if says else ""), []
    try:
        content = json.loads(finished.stdout)
        outputs = content.get("outputs", [])
        verdicts = {one["verdict"] for one in outputs or content["rows"]}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"output that is not as expected ({type(error).__name__}: {error})", []
    return "VALID" if verdicts == {"VALID"} else "INVALID", outputs


def run(one, path, annulus, seconds):
    """The combination with its verdict and the outputs that were compared."""
    backend = ["--backend", "cudnn"] if path == "cudnn" else []
    environment = dict(os.environ, ANNULUS_CUDA="hopper" if path == "hopper" else "mma")
    command = [annulus, *one["arguments"], "--device", "cuda", *backend]
    print(f"[ RUN      ] {one['name']}", flush=True)
    try:
        finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=seconds,
                                  check=False)
        verdict, outputs = verdict_of(finished)
    except subprocess.TimeoutExpired:
        verdict, outputs = f"ended after {seconds} s", []
    print(f"[{'       OK' if verdict == 'VALID' else '  FAILED '} ] {one['name']}: {verdict}", flush=True)
    return {**one, "verdict": verdict, "outputs": outputs}


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"'{text}': expected at least 1")
    return number


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", choices=("mma", "hopper", "cudnn"), required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--annulus", default="build-gpu/bin/annulus")
    parser.add_argument("--seconds", type=positive, default=20)
    parser.add_argument("--jobs", type=positive, default=min(4, os.cpu_count() or 1))
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        done = list(pool.map(lambda one: run(one, arguments.path, arguments.annulus, arguments.seconds),
                             cases(arguments.path)))
    with open(arguments.output, "w") as file:
        json.dump({"path": arguments.path, "cases": done}, file, indent=2)
    wrong = [one for one in done if one["verdict"] != "VALID"]
    print(f"{len(done) - len(wrong)} of {len(done)} VALID")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
