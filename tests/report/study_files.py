"""Results files as a study writes them, from closed forms and a little noise."""

import h5py
import numpy

NOISE = 1e-3


def simplex(n, rho, gamma):
    """Closed forms of one layer over a simplex, q = 1, α = 0 (arXiv 2510.05554)."""
    t = n ** (-gamma * (1 - rho))
    p = 1 / (1 + (n - 1) * t)
    w, a, sigma = t * p, p - t * p, 1 + (n - 1) * rho
    cosine = (sigma - a**2 * (1 - rho)) / (sigma + (n - 1) * a**2 * (1 - rho))
    entropy = -p * numpy.log(p) - (n - 1) * w * numpy.log(w)
    return {"self_probability": p, "output_cosine": cosine, "contraction": a, "entropy": entropy,
            "participation": 1 / (p**2 + (n - 1) * w**2)}


def gradient_norm(n, rho, gamma, d):
    """Exact η of a simplex with q = 1."""
    beta, kappa, sigma = gamma * numpy.log(n), 1 - rho, 1 + (n - 1) * rho
    t = n ** (-gamma * kappa)
    p = 1 / (1 + (n - 1) * t)
    w, a = t * p, p - t * p
    s2, s3 = p**2 + (n - 1) * w**2, p**3 + (n - 1) * w**3
    o_i, o_k = a + w * sigma, a * rho + w * sigma
    o2 = a**2 + 2 * a * w * sigma + w**2 * n * sigma
    diagonal = (p**2 * (d - 1) + 2 * p * beta * kappa * ((1 - s2) - kappa * p * (1 - p))
                + beta**2 * kappa**2 * (s2 - 2 * s3 + s2**2
                                        - kappa * p**2 * ((1 - p)**2 + (n - 1) * w**2)))
    other = w**2 * ((d - 1) - 2 * beta * (o_i - rho * o_k)
                    + beta**2 * (1 - 2 * o_k + o2) * (1 - rho**2))
    return (diagonal + (n - 1) * other) / d


def clustered(n, rho, gamma, directions):
    """Closed forms of m directions, each repeated n/m times: a simplex of masses."""
    t = n ** (-gamma * (1 - rho))
    mass = 1 / (1 + (directions - 1) * t)
    repeats = n / directions
    rest = t * mass
    return {"self_probability": mass / repeats,
            "entropy": (-mass * numpy.log(mass) - (directions - 1) * rest * numpy.log(rest)
                        + numpy.log(repeats)),
            "participation": repeats / (mass**2 + (directions - 1) * rest**2)}


def write_study(path, kind="phase", finished=None, theory=True, noise=NOISE, **keys):
    """Writes a results file; `finished` is a number of points, all of them if None.

    `keys` are keys of the config: tokens, n, rho, gamma, dimension, directions, layers, measure.
    """
    axes = {name: numpy.asarray(keys[name], dtype="i8" if name == "n" else "f8")
            for name in ("n", "rho", "gamma") if name in keys and (kind, name) != ("sphere", "rho")}
    values = _closed_forms(kind, numpy.meshgrid(*axes.values(), indexing="ij"), keys)
    random = numpy.random.default_rng(1)
    shape = tuple(axis.size for axis in axes.values())
    done = numpy.arange(numpy.prod(shape)).reshape(shape) < (
        numpy.prod(shape) if finished is None else finished)
    with h5py.File(path, "w") as file:
        group = file.create_group(kind)
        inner = {"layer": numpy.arange(keys["layers"] + 1)} if kind == "depth" else {}
        for name, axis in (axes | inner).items():
            group[name] = axis
            group[name].make_scale(name)
            group[name].attrs.update(long_name=f"axis {name}", units="1")
        _create(group, "finished", done.astype("u1"), [group[name] for name in axes])
        scales = [group[name] for name in axes | inner]
        if theory:  # the scales are linked, so that this group can be opened alone
            group.create_group("theory")
            for scale in axes | inner:
                group["theory"][scale] = group[scale]
        for name, exact in values.items():
            where = done.reshape(done.shape + (1,) * len(inner))
            measured = exact * (1 + noise * random.standard_normal(exact.shape))
            _create(group, name, numpy.where(where, measured, numpy.nan), scales)
            if theory:
                _create(group, f"theory/{name}", exact, scales)
        lines = [f"kind = '{kind}'"] + [f"{key} = {_toml(value)}" for key, value in keys.items()]
        file.attrs.update(
            annulus_version="0.1.0", git_commit="0123456789abcdef0123456789abcdef01234567",
            command_line="annulus study", config="\n".join(lines), ranks=4, threads_per_rank=1,
            started_at="2026-01-01T00:00:00Z", mpi_library="Open MPI 4.1.4", device="cpu",
            hosts=["node1", "node2"], backend="cpu", complete=int(done.all()))
    return str(path)


def _closed_forms(kind, grid, keys):
    if kind == "sphere":
        n, gamma = grid
        sharp = gamma * numpy.log(n) / n ** (2 / (keys["dimension"] - 1))
        return {"max_probability": sharp / (1 + sharp), "entropy": numpy.log(n) / (1 + sharp),
                "alignment": numpy.tanh(sharp)}
    n, rho, gamma = grid
    if kind == "needle":
        return {"output": simplex(n, rho, gamma)["self_probability"]}
    if kind == "depth":
        cosines = [rho]
        for _ in range(keys["layers"]):
            cosines.append(simplex(n, cosines[-1], gamma)["output_cosine"])
        return {"output_cosine": numpy.stack(cosines, axis=-1)}
    if keys["tokens"] == "clustered":
        return clustered(n, rho, gamma, keys["directions"])
    values = simplex(n, rho, gamma)
    if "gradient_norm" in keys.get("measure", []):
        dimension = n + 1 if keys["tokens"] == "simplex" else keys["dimension"]
        values["gradient_norm"] = gradient_norm(n, rho, gamma, dimension)
    return values


def _create(group, name, values, scales):
    dataset = group.create_dataset(name, data=values)
    for dim, scale in zip(dataset.dims, scales):
        dim.attach_scale(scale)
    dataset.attrs.update(long_name=name.rsplit("/", 1)[-1].replace("_", " "), units="1")


def _toml(value):
    if isinstance(value, str):
        return f"'{value}'"
    if numpy.ndim(value):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value.item() if isinstance(value, numpy.generic) else value)
