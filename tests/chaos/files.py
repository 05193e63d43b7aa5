"""Small files that trials begin with."""

import h5py
import numpy as np

from watched import run

NEEDLE = """kind = "needle"
n = [64, 127]
rho = [0.25, 0.5]
gamma = [0.5, 1.0, 2.0]
"""


def small_input(path, rows=40, chunks=None, latest=False, **filters):
    """/q, /k, /v and all that may be beside them, in the storage that is asked for."""
    random = np.random.default_rng(1)
    with h5py.File(path, "w", libver="latest" if latest else None) as file:
        for name, shape in {"q": (rows, 4, 8), "k": (rows, 2, 8), "v": (rows, 2, 5),
                            "dout": (rows, 4, 5)}.items():
            file.create_dataset(name, data=random.standard_normal(shape),
                                chunks=chunks and tuple(map(min, chunks, shape)), **filters)
            file[name].attrs["layout"] = "nhd"
        file["gain"], file["sink"] = np.ones(4), np.zeros(4)
        file["cu_seqlens"] = np.array([0, 10, rows])


def sound_run(program, arguments, folder):
    """Runs what has to succeed before anything is tried."""
    ended = run(program, arguments, folder)
    if ended.code != 0:
        raise SystemExit(f"annulus {' '.join(arguments)} ends with {ended.code}: {ended.err}")


def finished_points(path):
    """The numbers of a study's finished points, by variable and index in the grid."""
    points = {}
    with h5py.File(path) as file:
        group = next(item for item in file.values()
                     if isinstance(item, h5py.Group) and "finished" in item)
        mask = group["finished"][...]
        for name, dataset in group.items():
            if isinstance(dataset, h5py.Dataset) and dataset.shape[:mask.ndim] == mask.shape:
                values = dataset[...]
                for index in map(tuple, np.argwhere(mask)):
                    points[name, tuple(map(int, index))] = values[index]
    return points


def is_complete(path):
    with h5py.File(path) as file:
        return file.attrs["complete"] == 1


def points_and_faults(path):
    """finished_points of a file that has to be one, and what is wrong with it."""
    try:
        return finished_points(path), []
    except (OSError, KeyError, StopIteration) as error:
        return {}, [f"{path.name} cannot be read: {error}"]


def differing(points, expected):
    """Where numbers differ by more than the rounding of other numbers of ranks."""
    return [key for key, value in points.items()
            if not np.allclose(value, expected[key], rtol=1e-9, atol=1e-12)]
