"""Tries to bring the program down, and reports how it held.

    launch/chaos [--seed N] [--command-lines N] [--inputs N] [--results N] [--kills N]

Random command lines, damaged inputs, damaged results files, and runs that are killed at random
moments, each in a folder of its own. Nothing may hang, crash, lose a finished point of a study or
leave a partial file; exit codes are 0, 1, 2 or 128 plus the signal that was sent; code 2 comes with
one line on standard error. Exit code 1 where anything did, with the command and its files.
"""

import argparse
import collections
import pathlib
import random
import shlex
import shutil
import sys
import tempfile
import time

from command_lines import CommandLines
from damage import Inputs, Results
from kills import Kills
from watched import ROOT, Program

KINDS = {"command-lines": (CommandLines, 500), "inputs": (Inputs, 500), "results": (Results, 200),
         "kills": (Kills, 100)}


def parse(arguments):
    parser = argparse.ArgumentParser(prog="launch/chaos", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1, help="of all that is random")
    for kind, (_, count) in KINDS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, metavar="N",
                            help=f"how many (default: {count})")
    parser.add_argument("--only", metavar="KIND:TRIAL", help="one trial, such as inputs:37")
    parser.add_argument("--seconds", type=float, default=20, help="that a run may take")
    parser.add_argument("--program", default=str(ROOT / "build" / "bin" / "annulus"))
    parser.add_argument("--keep", type=pathlib.Path, default=ROOT / "build" / "chaos",
                        help="folder for the files of trials that found a fault")
    return parser.parse_args(arguments)


def trials_of(options, kind):
    if options.only is None:
        return range(getattr(options, kind.replace("-", "_")))
    only, _, trial = options.only.partition(":")
    return [int(trial)] if only == kind else []


def shown(command):
    return shlex.join(part if part.isprintable() else repr(part) for part in command)


def try_one(trials, options, kind, number, scratch):
    """How it ended, and the faults as lines. The files are kept where there are any."""
    chance = random.Random(f"{options.seed} {kind} {number}")
    folder = scratch / f"{kind}-{number}"
    folder.mkdir()
    ended, command, faults = trials.trial(chance, folder)
    if faults:
        kept = options.keep / f"{options.seed}-{kind}-{number}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(folder, kept, symlinks=True)
        print(f"{kind}:{number}: {'; '.join(faults)}\n  {shown(command)}\n  in {kept}\n"
              f"  {ended.err.strip()[:500]!r}", flush=True)
    shutil.rmtree(folder)
    return ended.end, faults


def main(arguments):
    options = parse(arguments)
    program = Program(str(pathlib.Path(options.program).resolve()), options.seconds)
    found = 0
    with tempfile.TemporaryDirectory(prefix="annulus-chaos-") as folder:
        scratch = pathlib.Path(folder).resolve()
        for kind, (make, _) in KINDS.items():
            numbers = trials_of(options, kind)
            if not numbers:
                continue
            start = time.monotonic()
            trials = make(program, scratch)
            ends, faulty = collections.Counter(), 0
            for number in numbers:
                end, faults = try_one(trials, options, kind, number, scratch)
                ends[end] += 1
                faulty += bool(faults)
            found += faulty
            listed = ", ".join(f"{count} x {end}" for end, count in ends.most_common())
            print(f"{len(numbers):5} {trials.name:16} {faulty:3} faults, "
                  f"{time.monotonic() - start:.0f} s; exit codes {listed}", flush=True)
    print(f"seed {options.seed}: {found} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
