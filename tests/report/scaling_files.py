"""Results files of scaling studies, from a model of time that pictures and tables must give back."""

import h5py
import numpy

TEXTS = "S64"


def write_scaling(path, kind="strong", ranks=(1, 2, 4), lengths=(1024, 4096), serial=0.1,
                  finished=None, verdict="VALID", predicted=False, asked=("auto", "ring"),
                  passes=("forward",), run=0):
    """Amdahl's law: on P ranks a pass takes t(1) (serial + (1 - serial) / P); in a weak study the
    work grows with P and Gustafson's holds. A rank computes for 0.8 of it, the last one 0.9."""
    points = [(passed, length, schedule, count) for passed in passes for length in lengths
              for schedule in asked for count in ranks]
    most, steps = max(ranks), 2 * max(ranks) + 1
    known = {"ranks": [], "length": [], "n_q": [], "n_k": []}
    texts = {name: [] for name in ("mask", "precision", "pass", "asked_schedule", "asked_sharding",
                                   "verdict", "schedule", "sharding")}
    numbers = {name: [] for name in (
        "run", "threads", "nodes", "repetitions", "seconds", "seconds_min", "seconds_max",
        "exposed_seconds", "flops", "peak_flops_per_second", "bytes_sent", "bytes_between_nodes",
        "messages_sent", "bandwidth", "link_bandwidth", "overlap", "balance")}
    lists = {"samples": ("repetition", []), "exposed_samples": ("repetition", []),
             **{f"rank_{name}": ("rank", [])
                for name in ("seconds", "compute_seconds", "exposed_seconds")},
             **{f"step_{name}": ("step", [])
                for name in ("compute_mean", "compute_max", "exposed_mean", "exposed_max")}}
    if predicted:
        numbers["predicted_seconds"] = []
    sizes = {"point": len(points), "repetition": 3, "rank": most, "step": steps}
    done = numpy.arange(len(points)) < (len(points) if finished is None else finished)
    for passed, length, schedule, count in points:
        work = 1e3 * length**2 * (count if kind == "weak" else 1)
        one = work / 1e9
        seconds = one * (serial + (1 - serial) / count)
        if kind == "weak":
            seconds = one / (count - serial * (count - 1))
        for name, value in zip(known, (count, length, length, length)):
            known[name].append(value)
        used = "node-ring" if schedule == "auto" else schedule
        for name, value in zip(texts, ("causal", "fp32", passed, schedule, "auto", verdict, used,
                                       "zigzag")):
            texts[name].append(value)
        sent = 0 if count == 1 or schedule == "auto" else 2**20 * count
        for name, value in zip(numbers, (run, 1, 1, 3, seconds, seconds, 2 * seconds, 0, work,
                                         1e10 * count, sent, sent / 4, count, 1e9, 2e9, 0.75, 0.9,
                                         1.05 * seconds)):
            numbers[name].append(value)
        own = numpy.full(count, 0.95 * seconds)
        own[-1] = seconds
        computing = numpy.full(count, 0.8 * seconds)
        computing[-1] = 0.9 * seconds
        for name, values in zip(lists, (
                [seconds, seconds, 2 * seconds], [0, 0, 0], own, computing, 0.05 * own,
                *(numpy.full(count + 1, part * seconds / count) for part in (0.8, 0.9, 0.05, 0.1)))):
            axis, rows = lists[name]
            rows.append(numpy.append(values, numpy.full(sizes[axis] - len(values), numpy.nan)))
    with h5py.File(path, "w") as file:
        group = file.create_group(kind)
        for name, size in sizes.items():
            group[name] = numpy.arange(size) + (name == "repetition")
            group[name].make_scale(name)
        for name, values in known.items():
            _create(group, name, numpy.asarray(values, dtype="i8"))
        for name, values in texts.items():
            _create(group, name, numpy.asarray(values, dtype=TEXTS))
        for name, values in numbers.items():
            _create(group, name, numpy.where(done, values, numpy.nan))
        for name, (axis, rows) in lists.items():
            _create(group, name, numpy.where(done[:, None], rows, numpy.nan), axis)
        _create(group, "finished", done.astype("u1"))
        file.attrs.update(
            annulus_version="0.1.0", git_commit="0123456789abcdef0123456789abcdef01234567",
            command_line=f"annulus bench {kind} <b>", config=f'kind = "{kind}"\nthreads = 1\n',
            ranks=most, threads_per_rank=1, started_at="2026-01-01T00:00:00Z", job="SLURM_JOB_ID=7",
            mpi_library="Open MPI v4.1.4, package: Debian", device="cpu", backend="cpu",
            transport="mpi", hosts=["node1", "node2"], cpus=["A CPU"] * 2, cores=["0", "1"],
            complete=int(done.all()))
    return str(path)


def _create(group, name, values, inner=None):
    dataset = group.create_dataset(name, data=values)
    for dim, scale in zip(dataset.dims, ("point", inner)):
        dim.attach_scale(group[scale])
    dataset.attrs.update(long_name=name, units="1")
