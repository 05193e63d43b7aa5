"""What follows from the points of a scaling study: series by ranks, and where their time goes."""

import dataclasses

import numpy

SHARES = {"computing": "computing", "waiting": "waiting", "other": "packing, merging, other",
          "early": "done early"}


@dataclasses.dataclass(frozen=True)
class Series:
    """Points that differ in their ranks alone, by rising ranks; all of them were timed."""

    length: int
    mask: str
    precision: str
    passed: str  # forward or backward
    asked_schedule: str
    asked_sharding: str
    points: list

    @property
    def group(self):
        """What is drawn in one frame."""
        return self.mask, self.precision, self.passed

    @property
    def way(self):
        """How it was computed, as it was asked for and what that came to on most ranks."""
        last = self.points[-1]
        parts = []
        for asked, used in ((self.asked_schedule, last["schedule"]),
                            (self.asked_sharding, last["sharding"])):
            parts.append(f"auto ({used})" if asked == "auto" else asked)
        return parts[0] if self.asked_sharding == "auto" else ", ".join(parts)

    def column(self, name):
        return numpy.array([point[name] for point in self.points], dtype=float)

    @property
    def ranks(self):
        return self.column("ranks")

    @property
    def seconds(self):
        return self.column("seconds")

    @property
    def speedup(self):
        """(F/t) / (F_0/t_0) with F operations in t seconds, against the fewest ranks."""
        rate = self.column("flops") / self.seconds
        return rate / rate[0]

    @property
    def relative_ranks(self):
        return self.ranks / self.ranks[0]

    @property
    def efficiency(self):
        return self.speedup / self.relative_ranks

    @property
    def kernel_speed(self):
        """Operations in a second of computing, against the fewest ranks."""
        rate = self.column("flops") / numpy.array(
            [point["rank_compute_seconds"].sum() for point in self.points])
        return rate / rate[0]

    def losses(self, at):
        """What is lost at a point, by what takes it: parts of 1, against the fewest ranks."""
        first, here = shares(self.points[0]), shares(self.points[at])
        return {"slower kernels": 1 - self.kernel_speed[at],
                **{SHARES[name]: here[name] - first[name] for name in SHARES
                   if name != "computing"}}

    def serial_fractions(self, weak):
        """Karp-Flatt of each point, (1/s - 1/P) / (1 - 1/P); in a weak study that of Gustafson,
        (P - s) / (P - 1). NaN where P = 1."""
        ranks, speedup = self.relative_ranks, self.speedup
        with numpy.errstate(divide="ignore", invalid="ignore"):
            if weak:
                return (ranks - speedup) / (ranks - 1)
            return (1 / speedup - 1 / ranks) / (1 - 1 / ranks)

    def fitted_serial_fraction(self, weak):
        """The f of least squares: Amdahl's 1/s = f + (1 - f)/P, or Gustafson's s = P - f (P - 1);
        NaN with one point."""
        ranks, speedup = self.relative_ranks, self.speedup
        if weak:
            x, y = ranks - 1, ranks - speedup
        else:
            x, y = 1 - 1 / ranks, 1 / speedup - 1 / ranks
        return (x @ y) / (x @ x) if x.any() else numpy.nan


def shares(point):
    """Parts of the time of all ranks, which add up to 1: see SHARES."""
    ranks, whole = point["rank_seconds"].size, point["seconds"]
    own, computing, waiting = (point[name].mean() / whole for name in (
        "rank_seconds", "rank_compute_seconds", "rank_exposed_seconds"))
    assert ranks == point["ranks"]
    return {"computing": computing, "waiting": waiting, "other": own - computing - waiting,
            "early": 1 - own}


def rank_parts(point):
    """The same in seconds, for each rank."""
    computing, waiting = point["rank_compute_seconds"], point["rank_exposed_seconds"]
    own = point["rank_seconds"]
    return {"computing": computing, "waiting": waiting, "other": own - computing - waiting,
            "early": own.max() - own}


def series_of(file):
    """The series of a file that have points, in its order."""
    found = {}
    for point in file.points:
        if point["verdict"] != "VALID":
            continue
        key = tuple(point[name] for name in ("length", "mask", "precision", "pass",
                                             "asked_schedule", "asked_sharding"))
        found.setdefault(key, []).append(point)
    return [Series(*key, sorted(points, key=lambda point: point["ranks"]))
            for key, points in found.items()]


def groups_of(all_series):
    """The series of each frame, in order."""
    groups = {}
    for series in all_series:
        groups.setdefault(series.group, []).append(series)
    return groups


def longest(all_series):
    """Of each way to compute, the series of the largest length."""
    found = {}
    for series in all_series:
        if series.way not in found or series.length > found[series.way].length:
            found[series.way] = series
    return list(found.values())
