"""Results files as datasets of xarray."""

import os
from typing import TYPE_CHECKING, Any

from annulus.errors import InputError

if TYPE_CHECKING:
    import xarray

_KINDS = ("phase", "needle", "sphere", "depth")


def open(path: str | os.PathLike[str]) -> "xarray.Dataset":
    """A results file of a study or of launch/train, or the output of `annulus attend`.

    Of a study: its measured variables over its axes, NaN where a point is not finished, and the closed
    forms as theory_NAME. Of attention: out, lse, and what else there is, statistics by their names,
    over (query, head, value_dim) and so on. Where the file comes from is in its attributes.

    Reads it as a whole. Needs xarray, h5py and h5netcdf: pip install 'annulus[results]'. Raises
    InputError where there is no such file, or it is neither.
    """
    import h5py  # type: ignore[import-untyped]
    name = os.fspath(path)
    if not os.path.exists(name):
        raise InputError(f"{name}: no such file")
    try:
        with h5py.File(name, "r") as file:
            kinds = [kind for kind in _KINDS if isinstance(file.get(kind), h5py.Group)]
            if kinds:
                return _study(name, kinds[0], file)
            if file.attrs.get("kind") == "training":
                return _training(name, dict(file.attrs))
            if "out" in file:
                return _attention(file)
    except OSError as error:
        raise InputError(f"{name}: cannot be read as an HDF5 file") from error
    raise InputError(f"{name}: neither the results of a study nor the output of attend")


def _study(name: str, kind: str, file: Any) -> "xarray.Dataset":
    import xarray
    measured = xarray.load_dataset(name, group=kind, engine="h5netcdf", decode_cf=False)
    finished = measured["finished"].astype(bool)
    dataset = measured.drop_vars("finished").where(finished)
    if "theory" in file[kind]:
        theory = xarray.load_dataset(name, group=f"{kind}/theory", engine="h5netcdf", decode_cf=False)
        dataset = dataset.merge({f"theory_{key}": value for key, value in theory.data_vars.items()})
    return dataset.assign_attrs(file.attrs, kind=kind)


def _training(name: str, attributes: dict[str, Any]) -> "xarray.Dataset":
    import xarray
    return xarray.load_dataset(name, engine="h5netcdf", decode_cf=False).assign_attrs(attributes)


_AXES = {
    "out": ("query", "head", "value_dim"),
    "dq": ("query", "head", "head_dim"),
    "dk": ("key", "key_head", "head_dim"),
    "dv": ("key", "key_head", "value_dim"),
    "dgain": ("head",),
    "dsink": ("head",),
}


def _attention(file: Any) -> "xarray.Dataset":
    import xarray
    arrays = {name: file[name] for name in file if hasattr(file[name], "shape")}
    arrays.update(file.get("statistics", {}).items())
    variables = {}
    for name, array in arrays.items():
        axes = _AXES.get(name, ("query", "head"))
        batch = ("batch",) * (array.ndim - len(axes))
        variables[name] = (batch + axes, array[...])
    return xarray.Dataset(variables, attrs=dict(file.attrs))
