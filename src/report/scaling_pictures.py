"""Pictures of a scaling study: each of one frame, narrow enough for a telephone."""

import re

import numpy
from matplotlib import colormaps, rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from captions import number
from curves import DASHES, MARKERS
from page import STYLE, Picture, make_page
from scaling_series import SHARES, groups_of, longest, rank_parts, shares

WIDTH = 4.6
COLOURS = {"computing": "#2a788e", "waiting": "#e8853d", "other": "#b8b8b8", "early": "#f3d9a4"}
IDEAL = {"color": "0.45", "linewidth": 1.0, "linestyle": (0, (4, 2))}
MOST_LENGTHS = 5
MOST_BARS = 64  # ranks; of more, areas


def pictures(file, all_series, footer):
    """The pictures of each group of a file."""
    return {group: list(_pictures(file, group, some, footer))
            for group, some in groups_of(all_series).items()}


def _pictures(file, group, some, footer):
    suffix = "-".join(re.sub(r"[^\w.]+", "_", part) for part in group)
    title = [f"{file.kind.capitalize()} scaling", ", ".join(group)]
    for name, draw in (("speedup", _speedup), ("efficiency", _efficiency), ("time", _time),
                       ("ranks", _ranks), ("steps", _steps), ("prediction", _prediction)):
        with rc_context(STYLE):
            figure = draw(some, title, footer)
        if figure is not None:
            yield Picture(f"{file.kind}-{name}-{suffix}", figure)


def _looks(all_series):
    """Colour by length, marker and dashes by the way to compute; of many lengths some."""
    lengths = sorted({series.length for series in all_series})
    if len(lengths) > MOST_LENGTHS:
        picked = numpy.linspace(0, len(lengths) - 1, MOST_LENGTHS).round().astype(int)
        lengths = [lengths[i] for i in picked]
    ways = list(dict.fromkeys(series.way for series in all_series))
    looks = {}
    for series in all_series:
        if series.length not in lengths:
            continue
        shade = 0.8 * lengths.index(series.length) / max(len(lengths) - 1, 1)
        way = ways.index(series.way)
        looks[series.length, series.way] = (series, {
            "color": colormaps["viridis"](shade), "marker": MARKERS[way % len(MARKERS)],
            "linestyle": DASHES[way % len(DASHES)], "linewidth": 1.3, "markersize": 4.5,
            "markerfacecolor": "none"})
    return looks


def _label(series, several_ways):
    return f"n = {series.length}, {series.way}" if several_ways else f"n = {series.length}"


def _frame(title, footer, key, height=3.0):
    figure = make_page(WIDTH, height, title, footer, key)
    axis = figure.add_subplot()
    axis.grid(color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
    return figure, axis


def _rank_axis(axis, all_series):
    ranks = sorted({int(rank) for series in all_series for rank in series.ranks})
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(ranks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axis.set_xlabel("ranks")
    return numpy.array(ranks, dtype=float)


def _curves(all_series, title, footer, y_label, values, ideal):
    looks = _looks(all_series)
    several = len({series.way for series, _ in looks.values()}) > 1
    key = [(Line2D([], [], **look), _label(series, several)) for series, look in looks.values()]
    key.append((Line2D([], [], **IDEAL), "ideal"))
    figure, axis = _frame(title, footer, key)
    ranks = _rank_axis(axis, all_series)
    axis.plot(ranks, ideal(ranks), **IDEAL)
    for series, look in looks.values():
        axis.plot(series.ranks, values(series), **look)
    axis.set_ylabel(y_label)
    return figure, axis


def _speedup(all_series, title, footer):
    figure, axis = _curves(all_series, title, footer, "speed-up against the fewest ranks",
                           lambda series: series.speedup, lambda ranks: ranks / ranks[0])
    axis.set_yscale("log", base=2)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    return figure


def _efficiency(all_series, title, footer):
    figure, axis = _curves(all_series, title, footer, "efficiency",
                           lambda series: series.efficiency, numpy.ones_like)
    axis.set_ylim(0, max(1.1, 1.05 * max(series.efficiency.max() for series in all_series)))
    return figure


def _time(all_series, title, footer):
    """Of the longest series, what all ranks together do with their time, for each P."""
    chosen = longest(all_series)
    key = [(Patch(color=COLOURS[name]), text) for name, text in SHARES.items()]
    bars = [(series, point) for series in chosen for point in series.points]
    figure, axis = _frame([*title, f"n = {chosen[0].length}"], footer, key,
                          height=max(1.6, 0.5 + 0.24 * len(bars)))
    for place, (_, point) in enumerate(bars):
        left = 0.0
        parts = shares(point)
        for name in SHARES:
            axis.barh(place, parts[name], left=left, color=COLOURS[name], height=0.72)
            left += parts[name]
        axis.text(0.012, place, f"{parts['computing']:.0%}", va="center", color="white",
                  fontsize=8)
    several = len(chosen) > 1
    axis.set_yticks(range(len(bars)), [
        f"{series.way}, P = {point['ranks']}" if several else f"P = {point['ranks']}"
        for series, point in bars])
    axis.invert_yaxis()
    axis.grid(visible=False)
    axis.set_xlim(0, 1)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    axis.set_xlabel("of the time of all ranks")
    return figure


def _most_ranks(all_series):
    """Of the longest series, the points on the most ranks, where these are several."""
    chosen = [(series, series.points[-1]) for series in longest(all_series)]
    return [(series, point) for series, point in chosen if point["ranks"] > 1]


def _panels(chosen, title, footer, key, height):
    """A frame below the other for each of `chosen`, with its way to compute above it."""
    series, point = chosen[0]
    title = [*title, f"n = {series.length}", f"P = {point['ranks']}"]
    figure = make_page(WIDTH, (height + 0.55) * len(chosen), title, footer, key)
    axes = figure.subplots(len(chosen), 1, squeeze=False, sharex=True)[:, 0]
    for axis, (series, _) in zip(axes, chosen):
        axis.set_title(series.way)
    return figure, axes


def _ranks(all_series, title, footer):
    """What every rank did with its time, on the most ranks."""
    chosen = _most_ranks(all_series)
    if not chosen:
        return None
    most = max(point["ranks"] for _, point in chosen)
    key = [(Patch(color=COLOURS[name]), text) for name, text in SHARES.items()]
    figure, axes = _panels(chosen, title, footer, key,
                           height=0.45 + min(0.2 * most, 3.2))
    for axis, (_, point) in zip(axes, chosen):
        parts = rank_parts(point)
        places, left = numpy.arange(point["ranks"]), numpy.zeros(point["ranks"])
        for name in SHARES:
            values = 1e3 * parts[name]
            if point["ranks"] <= MOST_BARS:
                axis.barh(places, values, left=left, color=COLOURS[name], height=0.8)
            else:
                axis.fill_betweenx(places, left, left + values, color=COLOURS[name], step="mid",
                                   linewidth=0)
            left += values
        axis.set_ylabel("rank")
        axis.set_ylim(point["ranks"] - 0.5, -0.5)
        axis.set_xlim(left=0)
        axis.yaxis.get_major_locator().set_params(integer=True)
    axes[-1].set_xlabel("milliseconds")
    return figure


def _steps(all_series, title, footer):
    """How long steps take, on the most ranks; of two steps and the end there is nothing to see."""
    chosen = [(series, point) for series, point in _most_ranks(all_series)
              if point["step_compute_mean"].size > 3]
    if not chosen:
        return None
    key = [(Line2D([], [], color=COLOURS["computing"], marker="o", markersize=3),
            "computing, mean over ranks"),
           (Patch(color=COLOURS["computing"], alpha=0.25), "to the rank that computes longest"),
           (Line2D([], [], color=COLOURS["waiting"], marker="s", markersize=3),
            "waiting, mean over ranks"),
           (Patch(color=COLOURS["waiting"], alpha=0.25), "to the rank that waits longest")]
    figure, axes = _panels(chosen, title, footer, key, height=1.5)
    for axis, (_, point) in zip(axes, chosen):
        places = numpy.arange(point["step_compute_mean"].size)
        for what, colour, marker in (("compute", COLOURS["computing"], "o"),
                                     ("exposed", COLOURS["waiting"], "s")):
            mean, most = (1e3 * point[f"step_{what}_{kind}"] for kind in ("mean", "max"))
            axis.fill_between(places, mean, most, color=colour, alpha=0.25, linewidth=0)
            axis.plot(places, mean, color=colour, marker=marker, markersize=3, linewidth=1.2)
        axis.set_ylabel("milliseconds")
        axis.set_ylim(bottom=0)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(color="0.9", linewidth=0.6)
    axes[-1].set_xlabel("step; the last one is the end of the pass")
    return figure


def _prediction(all_series, title, footer):
    """Predicted over measured times, where the file has predictions."""
    if not all(numpy.isfinite(point.get("predicted_seconds", numpy.nan)) for series in all_series
               for point in series.points):
        return None
    figure, axis = _curves(all_series, title, footer, "predicted / measured time",
                           lambda series: series.column("predicted_seconds") / series.seconds,
                           numpy.ones_like)
    axis.axhspan(0.9, 1.1, color="0.93", zorder=0)
    return figure
