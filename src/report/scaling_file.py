"""Reading the file of a scaling study: `annulus bench strong|weak --output`."""

import dataclasses
import json
import os
import tomllib

import h5py
import numpy

from error import ReportError

KINDS = ("strong", "weak")


@dataclasses.dataclass(frozen=True)
class ScalingFile:
    """`points` are the finished ones, in order: texts, numbers, and lists without their padding."""

    path: str
    kind: str
    points: list
    total: int
    config: dict
    attributes: dict
    runs: list  # what is recorded of the runs that filled it, the first one first


def is_scaling_file(path):
    """Whether there is a file of a scaling study at `path`; what else it may be is not said."""
    try:
        with h5py.File(path, "r") as file:
            return any(isinstance(file.get(kind), h5py.Group) for kind in KINDS)
    except OSError:
        return False


def read_scaling_file(path):
    if not os.path.exists(path):
        raise ReportError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            kind = next((kind for kind in KINDS if isinstance(file.get(kind), h5py.Group)), None)
            if kind is None:
                raise ReportError(f"{path}: not the results file of a scaling study; expected one "
                                  "group of: " + ", ".join(f"/{kind}" for kind in KINDS))
            return _read(path, kind, file)
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise ReportError(f"{path}: damaged: {' '.join(str(error).split())}") from error


def _read(path, kind, file):
    group = file[kind]
    done = group["finished"][:] == 1
    columns = {name: item[:] for name, item in group.items()
               if isinstance(item, h5py.Dataset) and not h5py.h5ds.is_scale(item.id)
               and name != "finished"}
    points = [{name: _value(values[i]) for name, values in columns.items()}
              for i in numpy.flatnonzero(done)]
    attributes = {name: _plain(value) for name, value in file.attrs.items()}
    again = [json.loads(text) for text in attributes.get("resumptions", [])]
    return ScalingFile(path=path, kind=kind, points=points, total=done.size,
                       config=tomllib.loads(attributes.get("config", "")), attributes=attributes,
                       runs=[attributes, *again])


def _value(value):
    if isinstance(value, bytes):
        return value.decode()
    if numpy.ndim(value):
        return value[~numpy.isnan(value)]
    return value.item()


def _plain(value):
    if isinstance(value, numpy.ndarray):
        return [_plain(element) for element in value]
    return value.decode() if isinstance(value, bytes) else value
