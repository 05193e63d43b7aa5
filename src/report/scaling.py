"""The report of scaling studies: pictures, a table for other programs, and a page."""

import csv
import os

import numpy

from error import ReportError
from output import common_stem
from scaling_file import read_scaling_file
from scaling_page import page
from scaling_pictures import pictures
from scaling_series import series_of


def write_report(paths, output=None, file_format=None):
    """Writes the report of some files to a folder, over an older one; returns what was written."""
    if file_format not in (None, "png"):
        raise ReportError(f"--format: {file_format}: the pictures of scaling studies are png")
    files = [read_scaling_file(path) for path in paths]
    kinds = [file.kind for file in files]
    if len(set(kinds)) < len(kinds):
        raise ReportError("one file of each kind of scaling study; got "
                          + ", ".join(f"{file.path} ({file.kind})" for file in files))
    folder = output or os.path.join(os.path.dirname(paths[0]), common_stem(paths) + "-report")
    drawn = [pictures(file, series_of(file), _footer(file)) for file in files]
    try:
        os.makedirs(folder, exist_ok=True)
        return _write(folder, files, drawn)
    except OSError as error:
        raise ReportError(f"--output: {folder} cannot be written: {error.strerror}") from error


def _write(folder, files, drawn):
    paths = []
    for picture in (picture for groups in drawn for own in groups.values() for picture in own):
        paths.append(os.path.join(folder, f"{picture.name}.png"))
        picture.save(paths[-1], "png")
    paths.append(os.path.join(folder, "sweep.csv"))
    with open(paths[-1], "w", encoding="utf-8", newline="") as table:
        _write_table(csv.writer(table, lineterminator="\n"), files)
    paths.append(os.path.join(folder, "index.html"))
    with open(paths[-1], "w", encoding="utf-8") as text:
        text.write(page(files, drawn))
    return paths


def _write_table(table, files):
    """A row for each finished point; lists have blanks between their numbers."""
    names = list(dict.fromkeys(name for file in files for point in file.points for name in point))
    table.writerow(["kind", *names, "speedup", "efficiency"])
    for file in files:
        derived = {id(point): (series.speedup[i], series.efficiency[i])
                   for series in series_of(file) for i, point in enumerate(series.points)}
        for point in file.points:
            values = [point.get(name, "") for name in names]
            table.writerow([file.kind, *map(_text, [*values, *derived.get(id(point), ("", ""))])])


def _text(value):
    if isinstance(value, numpy.ndarray):
        return " ".join(map(_text, value))
    if isinstance(value, float):
        return "" if numpy.isnan(value) else repr(float(value)).removesuffix(".0")
    return value


def _footer(file):
    run = file.attributes
    hosts = len(set(run.get("hosts", [])))
    return [f"annulus {run.get('annulus_version', 'unknown')}",
            f"commit {run.get('git_commit', 'unknown')[:10]}",
            f"{hosts} host{'' if hosts == 1 else 's'}", *dict.fromkeys(run.get("cpus", [])),
            f"threads {run.get('threads_per_rank', 'unknown')} each", f"backend {run.get('backend')}"]
