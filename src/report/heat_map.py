"""Heat maps: one quantity over two axes, a panel for each map."""

import dataclasses
import math

import numpy
from matplotlib import colors, patheffects, rc_context
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from page import STYLE, make_page

UNFINISHED = {"facecolor": "0.85", "edgecolor": "0.55", "hatch": "////", "linewidth": 0}
LINE = {"color": "white", "linewidth": 1.8,
        "path_effects": [patheffects.withStroke(linewidth=3.6, foreground="black")]}
SPAN = 1e6  # of a logarithmic colour scale, at most
COLUMNS = 3


@dataclasses.dataclass(frozen=True)
class HeatMap:
    """`values` over (y, x), NaN where nothing is known; `line` is one more curve (x, y)."""

    title: str
    x: numpy.ndarray
    y: numpy.ndarray
    values: numpy.ndarray
    line: tuple


@dataclasses.dataclass(frozen=True)
class ColourScale:
    label: str
    colour_map: str
    logarithmic: bool = False
    limits: tuple = ()  # widened where values lie outside; from the values where empty
    shared: bool = True  # by all panels

    def norm(self, maps):
        values = numpy.concatenate([heat_map.values.ravel() for heat_map in maps])
        values = values[numpy.isfinite(values)]
        if self.logarithmic:
            values = values[values > 0] if (values > 0).any() else numpy.ones(1)
            top = _round(values.max(), up=True)
            bottom = max(_round(values.min(), up=False), top / SPAN)
            return colors.LogNorm(bottom if bottom < top else top / 10, top)
        values = numpy.append(values, self.limits) if values.size or self.limits else [0, 1]
        return colors.Normalize(numpy.min(values), numpy.max(values))


def draw_heat_maps(maps, scale, x_label, y_label, line_label, title, footer):
    """A figure with a panel for each map, on a shared colour scale or each on its own."""
    columns = min(COLUMNS, len(maps))
    rows = -(-len(maps) // columns)
    key = [(Line2D([], [], **LINE), line_label)]
    if any(numpy.isnan(heat_map.values).any() for heat_map in maps):
        key.append((Patch(**UNFINISHED), "not finished"))
    with rc_context(STYLE):
        own_bar = 0 if scale.shared else 0.65
        figure = make_page(max(4.6, columns * (2.5 + own_bar) + 1.1), rows * 2.9, title,
                           footer, key)
        alike = all(numpy.array_equal(heat_map.x, maps[0].x)
                    and numpy.array_equal(heat_map.y, maps[0].y) for heat_map in maps)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=alike, sharey=alike)
        shared_norm = scale.norm(maps)
        for axis, heat_map in zip(axes.flat, maps):
            norm = shared_norm if scale.shared else scale.norm([heat_map])
            mesh = _draw_panel(axis, heat_map, norm, scale.colour_map)
            if not scale.shared:
                _colour_bar(figure, mesh, axis, norm, [heat_map]).ax.set_title(scale.label)
        if scale.shared:
            _colour_bar(figure, mesh, axes, norm, maps).set_label(scale.label)
        for axis in axes.flat[len(maps):]:
            axis.remove()
        for index in range(len(maps)):
            if index + columns >= len(maps):
                axes.flat[index].set_xlabel(x_label)
                axes.flat[index].tick_params(labelbottom=True)
            if index % columns == 0:
                axes.flat[index].set_ylabel(y_label)
    return figure


def edges(centres):
    """The borders of the cells around `centres`, halfway between neighbours."""
    middle = (centres[1:] + centres[:-1]) / 2
    return numpy.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _round(value, up):
    """The next value of 1, 2, 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    steps = [step * power for step in (1, 2, 5, 10)]
    # A value that is a step but for rounding stays there.
    return (min(step for step in steps if step >= value * (1 - 1e-9)) if up
            else max(step for step in steps if step <= value * (1 + 1e-9)))


def _draw_panel(axis, heat_map, norm, colour_map):
    axis.patch.set(**UNFINISHED)
    x, y = edges(heat_map.x), edges(heat_map.y)
    # Zero is below every logarithmic scale: it gets the lowest colour, not the one of no value.
    values = heat_map.values
    if isinstance(norm, colors.LogNorm):
        values = numpy.where(values < norm.vmin, norm.vmin, values)
    mesh = axis.pcolormesh(x, y, numpy.ma.masked_invalid(values), norm=norm, cmap=colour_map,
                           rasterized=True)
    axis.plot(*heat_map.line, **LINE)
    axis.set(title=heat_map.title, xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    return mesh


def _colour_bar(figure, mesh, axes, norm, maps):
    below = any((heat_map.values < norm.vmin).any() for heat_map in maps)
    return figure.colorbar(mesh, ax=axes, pad=0.02, extend="min" if below else "neither")
