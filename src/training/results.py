"""The results file: an HDF5 file that xarray opens, over scales, seeds, steps and lengths."""

import os

import h5py
import numpy

from evaluation import BINS, DEPTHS
from text import SOURCE

MEASURED = {"training_loss": ("step",), "loss": ("length", "part"), "needle": ("length", "depth"),
        "needle_loss": ("length", "depth"), "entropy": ("length", "layer", "head"),
        "gain": ("layer", "head")}


def write_results(path, config, runs, provenance):
    """Of the runs that are finished, by scale and seed; NaN where one is not. As a whole or not at all."""
    axes = {"scale": [scale.name for scale in config.scales], "seed": config.seeds,
            "step": numpy.arange(config.steps),
            "length": numpy.array(config.evaluate_lengths) * config.length, "depth": DEPTHS,
            "part": numpy.arange(BINS), "layer": numpy.arange(config.layers),
            "head": numpy.arange(config.heads)}
    with h5py.File(f"{path}.new", "w") as file:
        file.attrs.update({"kind": "training", "text": SOURCE, **provenance})
        for name, values in axes.items():
            file[name] = values if name != "scale" else numpy.array(values, dtype=h5py.string_dtype())
            file[name].make_scale(name)
        for name, own in MEASURED.items():
            shape = next(iter(runs.values()))[name].shape
            data = numpy.full((len(config.scales), len(config.seeds), *shape), numpy.nan)
            for (scale, seed), run in runs.items():
                data[axes["scale"].index(scale), config.seeds.index(seed)] = run[name]
            file[name] = data
            for axis, label in enumerate(("scale", "seed", *own)):
                file[name].dims[axis].attach_scale(file[label])
    os.replace(f"{path}.new", path)
