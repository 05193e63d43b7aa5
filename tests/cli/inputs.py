"""Random problems and the files that hold them."""

import h5py
import numpy as np

from exact_attention import Problem


def random_problem(
    seed=1,
    queries=29,
    keys=None,
    heads=4,
    key_heads=2,
    d=16,
    d_v=None,
    documents=None,
    key_documents=None,
    size=1.0,
    **options,
):
    random = np.random.default_rng(seed)
    keys = queries if keys is None else keys
    if documents is None:
        offsets, key_offsets = [0, queries], [0, keys]
    else:
        offsets = [0, *np.cumsum(documents).tolist()]
        key_offsets = [0, *np.cumsum(key_documents or documents).tolist()]
    normal = random.standard_normal
    return Problem(
        q=size * normal((offsets[-1], heads, d)),
        k=normal((key_offsets[-1], key_heads, d)),
        v=normal((key_offsets[-1], key_heads, d_v or d)),
        offsets=offsets,
        key_offsets=key_offsets,
        **options,
    )


def write(problem, path, batch=None, dtype="f8", **more):
    """The input file of a problem; `batch` folds the documents into a leading axis. `more` are
    further datasets, or replacements; None leaves one out."""
    data = {"q": problem.q, "k": problem.k, "v": problem.v}
    if batch is not None:
        data = {name: x.reshape(batch, -1, *x.shape[1:]) for name, x in data.items()}
    elif len(problem.offsets) > 2:
        data["cu_seqlens"] = np.array(problem.offsets, np.int64)
        if problem.key_offsets != problem.offsets:
            data["cu_seqlens_k"] = np.array(problem.key_offsets, np.int64)
    for name in ("gain", "sink"):
        if getattr(problem, name) is not None:
            data[name] = getattr(problem, name)
    if problem.table is not None:
        table = problem.table
        data["logit_scale"] = (
            table if batch is None else table.reshape(batch, -1, *table.shape[1:])
        )
    data.update(more)
    with h5py.File(path, "w") as file:
        for name, values in data.items():
            if values is None:
                continue
            values = np.asarray(values)
            kind = dtype if values.dtype.kind == "f" else None
            file.create_dataset(name, data=values, dtype=kind)
    return path
