"""Reading a results file: the one schema that every study writes."""

import dataclasses
import hashlib
import math
import os
import tomllib

import h5py
import numpy

from error import ReportError


@dataclasses.dataclass(frozen=True)
class Variable:
    """Values over the axes `dims`. Scales are variables over themselves."""

    name: str
    long_name: str
    units: str
    dims: tuple
    values: numpy.ndarray


@dataclasses.dataclass(frozen=True)
class Results:
    """One study: `measured` is NaN where a point is not finished, `theory` is whole."""

    path: str
    kind: str
    grid: tuple  # names of the axes that the points lie on, slowest first
    axes: dict
    measured: dict
    theory: dict
    finished: numpy.ndarray  # over the grid
    config: dict
    attributes: dict

    @property
    def config_hash(self):
        return hashlib.sha256(self.attributes.get("config", "").encode()).hexdigest()[:8]

    def take(self, name, **at):
        """Measured values and theory (or None) of `name`, at the given index of each named axis."""
        variable = self.measured[name]
        index = tuple(at.get(dim, slice(None)) for dim in variable.dims)
        theory = self.theory.get(name)
        return variable.values[index], None if theory is None else theory.values[index]

    def finished_at(self, **at):
        """Number of finished points and of all points, at the given index of each named axis."""
        mask = self.finished[tuple(at.get(dim, slice(None)) for dim in self.grid)]
        return int(numpy.count_nonzero(mask)), int(mask.size)


def read_results(path, kinds):
    """Reads the results file of a study that is one of `kinds`."""
    if not os.path.exists(path):
        raise ReportError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ReportError(f"{path}: cannot be read as an HDF5 file") from error
    with file:
        found = [kind for kind in kinds if isinstance(file.get(kind), h5py.Group)]
        if len(found) != 1:
            raise ReportError(
                f"{path}: not the results file of one known study; expected one group of: "
                + ", ".join(f"/{kind}" for kind in kinds))
        try:
            return _read_group(path, file, found[0])
        except (KeyError, OSError, RuntimeError, tomllib.TOMLDecodeError) as error:
            message = " ".join(str(error).split())
            raise ReportError(f"{path}: /{found[0]} is damaged: {message}") from error


def _read_group(path, file, kind):
    group = file[kind]
    if "finished" not in group:
        raise ReportError(f"{path}: /{kind}/finished is missing; expected which points are done")
    scales = {name: dataset for name, dataset in group.items()
              if isinstance(dataset, h5py.Dataset) and h5py.h5ds.is_scale(dataset.id)}
    grid = _dims(path, group["finished"])
    finished = group["finished"][...].astype(bool)
    measured = {}
    for name, dataset in group.items():
        if isinstance(dataset, h5py.Dataset) and name != "finished" and name not in scales:
            measured[name] = _mask(_read_variable(path, name, dataset), grid, finished)
    if not measured:
        raise ReportError(f"{path}: /{kind} holds no measured variables")
    theory = {name: _read_variable(path, name, dataset)
              for name, dataset in group.get("theory", {}).items() if name not in scales}
    for name in theory.keys() & measured.keys():
        if theory[name].dims != measured[name].dims:
            raise ReportError(f"{path}: /{kind}/theory/{name} lies over {theory[name].dims}; "
                              f"expected {measured[name].dims}, as /{kind}/{name}")
    attributes = {key: _plain(value) for key, value in file.attrs.items()}
    return Results(path=path, kind=kind, grid=grid,
                   axes={n: _read_variable(path, n, d, (n,)) for n, d in scales.items()},
                   measured=measured, theory=theory, finished=finished,
                   config=tomllib.loads(attributes.get("config", "")), attributes=attributes)


def _read_variable(path, name, dataset, dims=None):
    return Variable(name=name, long_name=_plain(dataset.attrs.get("long_name", name)),
                    units=_plain(dataset.attrs.get("units", "1")),
                    dims=dims or _dims(path, dataset), values=dataset[...].astype(float))


def _dims(path, dataset):
    """Names of the dimension scales of a dataset."""
    if any(len(dim) == 0 for dim in dataset.dims):
        raise ReportError(f"{path}: {dataset.name} has no dimension scales; expected one for each "
                          "of its axes")
    return tuple(dim[0].name.rsplit("/", 1)[1] for dim in dataset.dims)


def _mask(variable, grid, finished):
    """What was measured where a point is finished, NaN elsewhere."""
    inner = variable.values.ndim - len(grid)
    where = finished.reshape(finished.shape + (1,) * inner)
    return dataclasses.replace(variable, values=numpy.where(where, variable.values, math.nan))


def _plain(value):
    """An attribute as text, number or list, however its string type was stored."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, numpy.ndarray):
        return [_plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, numpy.generic) else value
