"""The page about scaling studies: one file that needs no other, for large and small screens."""

import base64
import html
import io

import numpy
from matplotlib import rc_context

from page import STYLE, UNDATED
from scaling_series import groups_of, longest, series_of, shares

NOTE = 0.01  # a loss that is named

STYLE_SHEET = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff; margin: 0 auto;
       max-width: 1180px; padding: 1rem 1.2rem 3rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0.6rem 0; }
h2 { font-size: 1.3rem; margin: 2.2rem 0 0.4rem; border-top: 2px solid #2a788e; padding-top: 0.8rem; }
h3 { font-size: 1.05rem; margin: 1.4rem 0 0.3rem; }
p, li { max-width: 46rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr));
            gap: 0.6rem 1.2rem; align-items: start; }
.pictures img { width: 100%; max-width: 560px; height: auto; }
.table { overflow-x: auto; margin: 0.4rem 0 1rem; }
table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2rem 0.6rem; text-align: right; white-space: nowrap; }
th { border-bottom: 1px solid #888; vertical-align: bottom; font-weight: 600; }
td { border-bottom: 1px solid #e4e4e4; }
th.text, td.text { text-align: left; }
p.above { margin: 0.2rem 0; font-size: 0.85rem; color: #444; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; text-align: left; }
.loss { background: #fbe3cd; }
.wrong { color: #a40000; font-weight: 600; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1rem; font-size: 0.85rem; }
dt { color: #555; }
dd { margin: 0; overflow-wrap: anywhere; }
details { margin: 0.6rem 0; }
summary { cursor: pointer; color: #1d5a6b; }
pre { overflow-x: auto; background: #f5f5f5; padding: 0.6rem; font-size: 0.8rem; }
"""

WORDS = """
<details><summary>What the numbers mean</summary><ul>
<li><b>Time</b>: of the slowest rank, the median of the repetitions. Every point was compared with an
fp64 reference before it was timed.</li>
<li><b>Speed-up</b> s = (F/t) / (F₀/t₀), with F operations in t seconds, against the fewest ranks of the
same series; <b>efficiency</b> is s P₀/P. In a weak study the problem grows with the ranks, so both go by
operations a second.</li>
<li><b>Where time goes</b>: parts of P t in the repetition with the median time. Computing is inside
kernels; waiting is for transfers or for ranks of the same node, with nothing to compute; other is
packing, summing, merging; done early is the time from the end of a rank to that of the slowest one.</li>
<li><b>Efficiency is a product</b>: kernel speed (operations in a second of computing, against the fewest
ranks) times computing (its part of the time of all ranks, against that on the fewest ranks). Losses are
what of 1 slower kernels take, and what waiting, other and done early take more than on the fewest ranks.
Balance is the mean over ranks of their computing, over the longest.</li>
<li><b>Serial fraction</b>: fitted to all points of a series by Amdahl's 1/s = f + (1 − f)/P, and of each
point after Karp and Flatt, (1/s − 1/P) / (1 − 1/P); in a weak study by Gustafson's s = P − f (P − 1).
It need not be serial work: whatever is lost counts. Above 1, more ranks take longer than the fewest
(or do less in the same time); below 0, they do more than their part.</li>
<li><b>Overlap</b>: of the time in which transfers are under way, the part in which the rank computes.
<b>GB/s beside computing</b>: what a rank sends in a second in which transfers are under way, from their
start on this rank until they are seen to be done; <b>alone</b>: the same for the same transfers with
nothing to compute, the ceiling of the link.</li>
</ul></details>
"""


def svg_data(picture):
    """A picture as the source of an image."""
    text = io.BytesIO()
    with rc_context(STYLE):
        picture.figure.savefig(text, format="svg", metadata=UNDATED["svg"])
    return "data:image/svg+xml;base64," + base64.b64encode(text.getvalue()).decode()


def page(files, pictures):
    """The page, given the pictures of each file, by group."""
    title = "Scaling of attention: " + ", ".join(dict.fromkeys(file.kind for file in files))
    body = [f"<h1>{html.escape(title)}</h1>", *_lead(files), WORDS]
    for file, own in zip(files, pictures):
        body += _section(file, own)
    return ("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
            f"<title>{html.escape(title)}</title><style>{STYLE_SHEET}</style></head>\n<body>\n"
            + "\n".join(body) + "\n</body></html>\n")


def _lead(files):
    """What a reader wants to know first: the longest series on the most ranks, and each loss."""
    rows = []
    for file in files:
        for some in groups_of(series_of(file)).values():
            for series in longest(some):
                if series.ranks.size < 2:
                    continue
                losses = series.losses(-1)
                named = ", ".join(f"{name} {100 * part:.1f} %" for name, part in losses.items()
                                  if part > NOTE)
                rows.append([f"{series.efficiency[-1]:.3f}", f"{series.speedup[-1]:.3g}", file.kind,
                             *_names(series, series.points[-1]), (named or "none", "long")])
    if not rows:
        return []
    return [_table(["efficiency", "speed-up", "*study", *NAMES, "*losses above 1 %"], rows)]


def _section(file, pictures):
    done = len(file.points)
    parts = [f"<h2>{file.kind.capitalize()} scaling</h2>"]
    if done < file.total:
        parts.append(f"<p class=\"wrong\">{done} of {file.total} points are finished.</p>")
    all_series = series_of(file)
    for group, own in pictures.items():
        parts += [f"<h3>{html.escape(', '.join(reversed(group)))}</h3>", "<div class=\"pictures\">",
                  *(f"<img alt=\"{html.escape(picture.name)}\" src=\"{svg_data(picture)}\">"
                    for picture in own), "</div>"]
    if all_series:
        parts += ["<h3>Times</h3>", _times(all_series), "<h3>Where efficiency goes</h3>",
                  _losses(all_series)]
        if any(series.points[-1]["bytes_sent"] > 0 for series in all_series):
            parts += ["<h3>Transfers</h3>", _transfers(all_series)]
        if any(series.ranks.size > 1 for series in all_series):
            parts += ["<h3>Serial fraction</h3>", _serial(all_series, file.kind == "weak")]
    failed = [point for point in file.points if point["verdict"] != "VALID"]
    if failed:
        parts += ["<h3>Not timed</h3>", _failed(failed)]
    return [*parts, "<h3>How it was measured</h3>", _runs(file),
            "<details><summary>Configuration</summary><pre>"
            + html.escape(file.attributes.get("config", "")) + "</pre></details>"]


def _table(columns, rows):
    """`columns` are names, with a * in front where they hold texts; cells are texts, or pairs of a
    text and a class. Texts that are the same in all of several rows stand above."""
    same = [i for i, name in enumerate(columns) if name in NAMES and len(rows) > 1
            and len({str(row[i]) for row in rows}) == 1]
    above = ", ".join(f"{columns[i].lstrip('*')} {rows[0][i]}" for i in same)
    columns = [name for i, name in enumerate(columns) if i not in same]
    rows = [[cell for i, cell in enumerate(row) if i not in same] for row in rows]
    head = "".join(f"<th{' class=text' if name[0] == '*' else ''}>{html.escape(name.lstrip('*'))}"
                   "</th>" for name in columns)
    lines = []
    for row in rows:
        cells = []
        for name, cell in zip(columns, row):
            text, kind = cell if isinstance(cell, tuple) else (cell, "")
            kind = kind or ("text" if name[0] == "*" else "")
            cells.append(f"<td{f' class={kind}' if kind else ''}>{html.escape(str(text))}</td>")
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return ((f"<p class=\"above\">{html.escape(above)}</p>" if above else "")
            + f"<div class=\"table\"><table><thead><tr>{head}</tr></thead><tbody>"
            + "".join(lines) + "</tbody></table></div>")


NAMES = ["*pass", "*mask", "*type", "*schedule", "length", "ranks"]


def _names(series, point):
    return [series.passed, series.mask, series.precision, series.way, series.length,
            point["ranks"]]


def _per_point(all_series, columns, cells, wanted=lambda point: True):
    """A table with a row for each point; `cells` is a function of (series, index)."""
    return _table(NAMES + columns, [
        _names(series, point) + cells(series, i) for series in all_series
        for i, point in enumerate(series.points) if wanted(point)])


def _percent(value):
    return "–" if numpy.isnan(value) else f"{100 * value:.1f} %"


def _loss(value):
    """A part of the time that is lost, marked where it is worth a word."""
    return (_percent(value), "loss") if value > NOTE else _percent(value)


def _times(all_series):
    predicted = any(numpy.isfinite(point.get("predicted_seconds", numpy.nan))
                    for series in all_series for point in series.points)

    def cells(series, i):
        point = series.points[i]
        speed = point["flops"] / point["seconds"]
        row = [point["n_k"], _seconds(point["seconds"]),
               f"{_seconds(point['seconds_min'])} – {_seconds(point['seconds_max'])}",
               f"{series.speedup[i]:.3g}", f"{series.efficiency[i]:.3f}", f"{speed / 1e9:.4g}",
               _percent(speed / point["peak_flops_per_second"])]
        return row + [_seconds(point.get("predicted_seconds", numpy.nan))] * predicted

    return _per_point(all_series, ["n", "time", "least – most", "speed-up", "efficiency",
                                   "GFLOP/s", "of peak"] + ["predicted"] * predicted, cells)


def _losses(all_series):
    def cells(series, i):
        point = series.points[i]
        parts = shares(point)
        return [f"{series.efficiency[i]:.3f}", f"{series.kernel_speed[i]:.3f}",
                _percent(parts["computing"]), _loss(parts["waiting"]), _loss(parts["other"]),
                _loss(parts["early"]), f"{point['balance']:.3f}"]

    return _per_point(all_series, ["efficiency", "kernel speed", "computing", "waiting", "other",
                                   "done early", "balance"], cells)


def _transfers(all_series):
    def cells(series, i):
        point = series.points[i]
        inside = point["bytes_sent"] - point["bytes_between_nodes"]
        return [f"{point['nodes']:.0f}", f"{point['messages_sent']:.0f}", _mib(inside),
                _mib(point["bytes_between_nodes"]), _gigabytes(point["bandwidth"]),
                _gigabytes(point["link_bandwidth"]), _percent(point["overlap"]),
                _seconds(point["exposed_seconds"])]

    return _per_point(all_series, ["nodes", "messages", "MiB inside nodes", "MiB between nodes",
                                   "GB/s beside computing", "GB/s alone", "overlap", "longest wait"],
                      cells, lambda point: point["bytes_sent"] > 0)


def _serial(all_series, weak):
    rows = []
    for series in all_series:
        if series.ranks.size < 2:
            continue
        each = ", ".join(f"{fraction:.3f} (P = {int(ranks)})" for ranks, fraction
                         in zip(series.ranks[1:], series.serial_fractions(weak)[1:]))
        rows.append([series.passed, series.mask, series.precision, series.way, series.length,
                     f"{series.fitted_serial_fraction(weak):.4f}", each])
    return _table([*NAMES[:-1], "fitted", "*each point"], rows)


def _failed(points):
    return _table(["*pass", "*mask", "*type", "*schedule", "length", "ranks", "*verdict"], [
        [point["pass"], point["mask"], point["precision"], point["asked_schedule"],
         point["length"], point["ranks"],
         (point["verdict"], "wrong" if point["verdict"] == "INVALID" else "")] for point in points])


def _runs(file):
    """Where and how each run measured its points."""
    parts = []
    for i, run in enumerate(file.runs):
        count = sum(point["run"] == i for point in file.points)
        ranks = list(run.get("hosts", []))
        hosts = ", ".join(f"{host} ({ranks.count(host)} rank{'' if ranks.count(host) == 1 else 's'})"
                          for host in dict.fromkeys(ranks))
        facts = {"command": run.get("command_line"), "started": run.get("started_at"),
                 "job": run.get("job"), "hosts": hosts,
                 "CPU": ", ".join(dict.fromkeys(run.get("cpus", []))),
                 "cores of each rank": " | ".join(run.get("cores", [])),
                 "threads of each rank": run["threads_per_rank"],
                 "device, backend": f"{run.get('device')}, {run.get('backend')}",
                 "transport": run.get("transport"), "MPI": run.get("mpi_library"),
                 "annulus": f"{run.get('annulus_version')}, commit {run.get('git_commit')}"}
        rows = "".join(f"<dt>{name}</dt><dd>{html.escape(str(value))}</dd>"
                       for name, value in facts.items() if value)
        text = (f"Run {i}: {count} point{'' if count == 1 else 's'}, on {run['ranks']} "
                f"rank{'' if run['ranks'] == 1 else 's'}")
        parts.append(f"<details{' open' if i == 0 else ''}><summary>{text}</summary>"
                     f"<dl>{rows}</dl></details>")
    return "".join(parts)


def _seconds(value):
    if numpy.isnan(value):
        return "–"
    for size, unit in ((1, "s"), (1e-3, "ms")):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def _mib(value):
    return f"{value / 2**20:.4g}"


def _gigabytes(value):
    return "–" if numpy.isnan(value) else f"{value / 1e9:.3g}"
