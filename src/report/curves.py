"""Curves: measured values as markers, closed forms as lines, and their difference below."""

import dataclasses

import numpy
from matplotlib import colormaps, rc_context
from matplotlib.lines import Line2D

from page import STYLE, make_page

MARKERS = "os^Dv<P"
DASHES = ["-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (9, 2))]
MOST_CURVES = 5  # of one file in a panel
MARK = {"color": "0.45", "linewidth": 1.0, "linestyle": (0, (1, 1))}
COLUMNS = 3


@dataclasses.dataclass(frozen=True)
class Curve:
    label: str
    x: numpy.ndarray
    measured: numpy.ndarray
    theory: numpy.ndarray = None


@dataclasses.dataclass(frozen=True)
class Panel:
    """Curves over one axis; those with the same label look the same in every panel."""

    title: str
    x_label: str
    y_label: str
    curves: list
    x_scale: str = "linear"
    y_scale: str = "linear"
    x_marks: tuple = ()  # where a vertical line stands


def draw_curves(panels, title, footer, mark_label="", together=1):
    """A figure with a panel for each, and below it the difference from theory if there is one.

    So many panels in turn belong `together`: they share a row where it has room for them.
    """
    labels = list(dict.fromkeys(curve.label for panel in panels for curve in panel.curves))
    looks = {label: _look(index, len(labels)) for index, label in enumerate(labels)}
    theory = any(curve.theory is not None for panel in panels for curve in panel.curves)
    key = [(Line2D([], [], **look), label) for label, look in looks.items()]
    if theory:
        key.append((Line2D([], [], color="0.3", marker="o", markerfacecolor="none", linestyle=""),
                    "markers: measured"))
        key.append((Line2D([], [], color="0.3"), "lines: theory"))
    if any(panel.x_marks for panel in panels):
        key.append((Line2D([], [], **MARK), mark_label))
    columns = _columns(len(panels), together)
    rows = -(-len(panels) // columns)
    with rc_context(STYLE):
        figure = make_page(max(4.8, 3.1 * columns), rows * (3.3 if theory else 2.5), title, footer,
                           key)
        parts = [3, 1] if theory else [1]
        cells = figure.add_gridspec(rows * len(parts), columns, height_ratios=parts * rows)
        for index, panel in enumerate(panels):
            row, column = index // columns * len(parts), index % columns
            if any(curve.theory is not None for curve in panel.curves):
                upper = figure.add_subplot(cells[row, column])
                lower = figure.add_subplot(cells[row + 1, column], sharex=upper)
                upper.tick_params(labelbottom=False)
                _draw_difference(lower, panel, looks)
            else:
                upper = lower = figure.add_subplot(cells[row:row + len(parts), column])
            _draw_values(upper, panel, looks, lines=not theory)
            lower.set_xlabel(panel.x_label)
    return figure


def _columns(panels, together):
    if together <= 1 or together > COLUMNS:
        return 2 if panels == 4 else min(COLUMNS, panels)
    return COLUMNS // together * together


def _look(index, count):
    """Colour by order, from dark to light but dark enough for paper; with marker and dashes."""
    shade = 0.78 * index / max(count - 1, 1)
    return {"color": colormaps["viridis"](shade), "marker": MARKERS[index % len(MARKERS)],
            "linestyle": DASHES[index % len(DASHES)], "markersize": 4.5, "linewidth": 1.2,
            "markerfacecolor": "none", "markeredgewidth": 1.0}


def _draw_values(axis, panel, looks, lines):
    """`lines`: whether measured values are joined; not where lines elsewhere mean theory."""
    for curve in panel.curves:
        look = looks[curve.label]
        if curve.theory is not None:
            axis.plot(curve.x, curve.theory, **look | {"marker": ""})
        axis.plot(curve.x, curve.measured, **look if lines else look | {"linestyle": ""})
    _finish(axis, panel)
    axis.set(title=panel.title, ylabel=panel.y_label)
    if any((values > 0).any() for curve in panel.curves
           for values in (curve.measured, curve.theory) if values is not None):
        axis.set_yscale(panel.y_scale)  # which a file without a finished point does not allow


def _draw_difference(axis, panel, looks):
    """measured - theory; on a logarithmic axis, measured / theory - 1."""
    axis.margins(y=0.2)
    relative = panel.y_scale == "log"
    largest = 0.0
    for curve in panel.curves:
        if curve.theory is not None:
            difference = curve.measured - curve.theory
            if relative:
                difference = difference / curve.theory
            axis.plot(curve.x, difference, **looks[curve.label] | {"linestyle": ""})
            largest = numpy.nanmax(numpy.abs([largest, *difference]))
    axis.axhline(0, color="0.4", linewidth=0.8)
    if largest == 0:
        axis.set_ylim(-1e-16, 1e-16)
    _finish(axis, panel)
    axis.set_ylabel("relative\ndifference" if relative else "measured\n− theory", fontsize=8)


def _finish(axis, panel):
    for mark in panel.x_marks:
        axis.axvline(mark, **MARK)
    axis.set_xscale(panel.x_scale)
    axis.grid(color="0.9", linewidth=0.6)
    axis.set_axisbelow(True)
