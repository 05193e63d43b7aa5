"""Reading a results file: the one schema that every study writes."""

import dataclasses
import hashlib
import os
import tomllib

import h5py
import xarray

from error import ReportError


@dataclasses.dataclass(frozen=True)
class Results:
    """One study: `measured` is NaN where a point is not finished, `theory` is whole."""

    path: str
    kind: str
    measured: xarray.Dataset
    theory: xarray.Dataset  # without variables where there are no closed forms
    finished: xarray.DataArray  # over the axes that the points lie on, slowest first
    config: dict
    attributes: dict

    @property
    def axes(self):
        return self.measured.coords

    @property
    def config_hash(self):
        return hashlib.sha256(self.attributes.get("config", "").encode()).hexdigest()[:8]

    def take(self, name, **at):
        """Measured values and theory (or None) of `name`, at the given index of each named axis."""
        return [data[name].isel(at, missing_dims="ignore").values if name in data else None
                for data in (self.measured, self.theory)]

    def finished_at(self, **at):
        """Number of finished points and of all points, at the given index of each named axis."""
        mask = self.finished.isel(at, missing_dims="ignore")
        return int(mask.sum()), mask.size


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
            return _read_study(path, file, found[0])
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            message = " ".join(str(error).split())
            raise ReportError(f"{path}: /{found[0]} is damaged: {message}") from error


def _read_study(path, file, kind):
    if "finished" not in file[kind]:
        raise ReportError(f"{path}: /{kind}/finished is missing; expected which points are done")
    data = _load(path, file[kind])
    finished = data["finished"].astype(bool)
    measured = data.drop_vars("finished").where(finished)
    if not measured:
        raise ReportError(f"{path}: /{kind} holds no measured variables")
    theory = _load(path, file[kind]["theory"]) if "theory" in file[kind] else xarray.Dataset()
    for name in theory.keys() & measured.keys():
        if theory[name].dims != measured[name].dims:
            raise ReportError(f"{path}: /{kind}/theory/{name} lies over {theory[name].dims}; "
                              f"expected {measured[name].dims}, as /{kind}/{name}")
    attributes = dict(file.attrs)
    return Results(path=path, kind=kind, measured=measured, theory=theory, finished=finished,
                   config=tomllib.loads(attributes.get("config", "")), attributes=attributes)


def _load(path, group):
    """The variables of a group as they stand in the file, over its dimension scales."""
    for item in group.values():
        is_array = isinstance(item, h5py.Dataset) and not h5py.h5ds.is_scale(item.id)
        if is_array and not all(len(dim) for dim in item.dims):
            raise ReportError(f"{path}: {item.name} has no dimension scales; expected one for each "
                              "of its axes")
    return xarray.load_dataset(path, group=group.name, engine="h5netcdf", decode_cf=False)
