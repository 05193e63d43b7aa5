"""Trains small models on real text, with one logit scale after the other, and sees what they do at lengths
that they did not learn from.

    mpirun -n P python3 src/training CONFIG.toml --output FOLDER [--overwrite]

FOLDER/results.h5 has the runs that are finished, for annulus report. What is there is not done again, and an
interrupted run goes on from its last checkpoint: with as many ranks the numbers are the same to the last
bit.
"""

import argparse
import dataclasses
import shutil
import sys
import time
from pathlib import Path

import numpy
import torch

import annulus
from config import ConfigError, read_config
from evaluation import evaluate
from results import write_results
from text import read_text
from training import save, train


def parse():
    parser = argparse.ArgumentParser(prog="launch/train", allow_abbrev=False)
    parser.add_argument("config")
    parser.add_argument("--output", required=True)
    parser.add_argument("--overwrite", action="store_true")
    parser.add_argument("--alone", action="store_true", help="one rank, without MPI")
    return parser.parse_args()


class Progress:
    """A line on standard error now and then: where it is, how fast, and how long it will take."""

    def __init__(self, runs, steps, rank):
        self.total, self.done, self.rank = runs * steps, 0, rank
        self.began = self.said = time.monotonic()
        self.fresh = self.tokens = 0
        self.name = ""

    def __call__(self, step, loss, tokens):
        self.fresh, self.tokens = self.fresh + 1, self.tokens + tokens
        now = time.monotonic()
        if self.rank != 0 or now - self.said < 5:
            return
        self.said = now
        took = now - self.began
        left = took / self.fresh * (self.total - self.done - step - 1)
        print(f"{self.name}, step {step + 1}: loss {loss:.4f}, {self.tokens / took:.0f} bytes/s, "
              f"{left / 60:.0f} min left", file=sys.stderr, flush=True)


def refuse_another(folder, config):
    """The folder of a run belongs to one configuration."""
    known = folder / "config"
    if known.exists() and known.read_text() != repr(config):
        raise ConfigError(f"--output: {folder} has the runs of another configuration; expected a new folder, "
                          "or --overwrite")


def prepare(folder, config, overwrite):
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config").write_text(repr(config))


def main():
    options = parse()
    comm = annulus.comm.self() if options.alone else annulus.comm.mpi()
    try:
        config = read_config(options.config)
        folder = Path(options.output)
        if not options.overwrite:
            refuse_another(folder, config)
    except ConfigError as error:  # on all ranks alike
        if comm.rank == 0:
            print(f"launch/train: {error}", file=sys.stderr)
        sys.exit(2)
    comm.barrier()
    if comm.rank == 0:
        prepare(folder, config, options.overwrite)
    comm.barrier()
    training, held_out = read_text()
    which = [(scale, seed) for seed in config.seeds for scale in config.scales]
    progress = Progress(len(which), config.steps, comm.rank)
    runs = {}
    for scale, seed in which:
        finished = folder / f"{scale.name}-{seed}.pt"
        if not finished.exists():
            progress.name = f"{scale.name}, seed {seed}"
            checkpoint = folder / "checkpoint.pt"
            model, losses = train(config, scale, seed, training, comm, checkpoint, progress)
            run = evaluate(model, config, scale, held_out, comm)
            run["training_loss"] = torch.tensor(losses, dtype=torch.float64)
            run["gain"] = torch.stack([layer.gain.detach() for layer in model.layers])
            if comm.rank == 0:
                save((run, model.state_dict()), finished)
                checkpoint.unlink(missing_ok=True)
            comm.barrier()
        progress.done += config.steps
        runs[scale.name, seed] = {name: numpy.asarray(value) for name, value in torch.load(finished)[0].items()}
        if comm.rank == 0:
            provenance = {"annulus_version": annulus.__version__, "git_commit": annulus.git_commit,
                          "torch_version": str(torch.__version__), "ranks": comm.size,
                          "threads": torch.get_num_threads(),
                          **{name: str(value) for name, value in dataclasses.asdict(config).items()}}
            write_results(folder / "results.h5", config, runs, provenance)
            print(f"{scale.name}, seed {seed}: loss {runs[scale.name, seed]['training_loss'][-1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
