"""Curves of a study: a panel for each quantity, a curve for each value of one axis."""

import dataclasses
import itertools

import numpy

from captions import KIND, axis_label, label_of, model, number, points, provenance
from curves import MOST_CURVES, Curve, Panel, draw_curves
from page import Picture

FEWEST_VALUES = 4  # that show a curve
WIDE = 20  # ratio of the ends of an axis that is drawn logarithmically
SHORT = {"n": "n", "rho": "ρ", "gamma": "γ", "layer": "layer"}


@dataclasses.dataclass(frozen=True)
class Quantity:
    """How a variable is drawn: `transform` is applied to measured values and theory alike."""

    name: str
    label: str
    y_scale: str = "linear"
    transform: callable = numpy.asarray  # as they are


@dataclasses.dataclass(frozen=True)
class Rescaled:
    """Another variable in place of an axis: `of` is a function of (results, index of the curve)."""

    name: str
    label: str
    of: callable


KNOWN = [
    Quantity("output", "weight of the needle"),
    Quantity("alignment", "mean of <query, output>"),
    Quantity("self_probability", "self probability p"),
    Quantity("max_probability", "largest probability max p"),
    Quantity("effective_keys", "effective keys $e^H$", "log"),
    Quantity("entropy", "effective keys $e^H$", "log", numpy.exp),
    Quantity("participation", "participation 1/Σp²", "log"),
    Quantity("output_cosine", "cosine of outputs"),
    Quantity("contraction", "contraction"),
    Quantity("gradient_norm", "gradient size η", "log"),
]


def quantities(all_results, over=()):
    """What every file measured over all axes in `over`: the known quantities first."""
    first = all_results[0].measured
    names = [name for name in first if set(over) <= set(first[name].dims)
             and all(name in results.measured for results in all_results)]
    if "effective_keys" in names and "entropy" in names:
        names.remove("entropy")  # which would show the same again
    known = [quantity for quantity in KNOWN if quantity.name in names]
    others = [name for name in names if name not in {quantity.name for quantity in known}]
    return known + [Quantity(name, label_of(first[name])) for name in others]


def pick(count, most=MOST_CURVES):
    """Indices of at most `most` of `count` things, evenly spread, the first and last among them."""
    return sorted({round(i) for i in numpy.linspace(0, count - 1, min(count, most))})


def nearest(results, name, value):
    """The index on an axis whose value is nearest to `value`."""
    return int(numpy.abs(results.axes[name].values - value).argmin())


def draw_against_both(all_results, drawn, chosen, critical=None, critical_label=""):
    """Yields pictures along γ with curves by n and the reverse, where there are values enough.

    `chosen` says for either axis which indices of the others are drawn. `critical` is the γ of a
    transition, a function of (results, n, rho). There always is a picture along the longer axis.
    """
    def size(axis):
        return max(results.axes[axis].values.size for results in all_results)

    for along, by in (("gamma", "n"), ("n", "gamma")):
        longer = size(along) > size(by) or (size(along) == size(by) and along == "gamma")
        if size(along) >= FEWEST_VALUES or longer:
            yield draw_curves_along(along, by, all_results, drawn, chosen[along], critical,
                                    critical_label)


def draw_curves_along(along, by, all_results, drawn, chosen, critical=None, critical_label="",
                      rescaled=None):
    """A picture of the quantities in `drawn` along one axis, with a curve for each value of `by`.

    `chosen` maps each other axis to indices of the first file: a panel for each combination.
    """
    first = all_results[0]
    panels = []
    for quantity, indices in itertools.product(drawn, itertools.product(*chosen.values())):
        values = {name: first.axes[name].values[i] for name, i in zip(chosen, indices)}
        several = [name for name in chosen if len(chosen[name]) > 1]
        panels.append(Panel(
            title=", ".join(f"{SHORT[name]} = {number(values[name])}" for name in several),
            x_label=rescaled.label if rescaled else axis_label(first, along),
            y_label=quantity.label, y_scale=quantity.y_scale,
            x_scale="log" if along == "n" else _scale_for(first.axes[along].values),
            x_marks=_marks(all_results, critical, values) if along == "gamma" else (),
            curves=[curve for results in all_results
                    for curve in _curves(results, quantity, along, by,
                                         _pick_along(results, by, critical, values), values,
                                         model(results) if len(all_results) > 1 else [],
                                         rescaled)]))
    single = [f"{SHORT[name]} = {number(first.axes[name].values[i[0]])}"
              for name, i in chosen.items() if len(i) == 1]
    same = model(first) if len(all_results) == 1 else []
    title = [KIND[first.kind], *same, *single, *points(all_results)]
    figure = draw_curves(panels, title, provenance(all_results), critical_label,
                         together=len(panels) // max(len(drawn), 1))
    return Picture(f"against_{rescaled.name if rescaled else along}", figure)


def _curves(results, quantity, along, by, indices, values, words, rescaled):
    """The curves of one file by `indices` of axis `by`, at the values nearest to `values`."""
    fixed = {name: nearest(results, name, value) for name, value in values.items()}
    # A file whose grid lacks the value that the title gives says which one it has.
    own = [f"{SHORT[name]} = {number(results.axes[name].values[i])}" for name, i in fixed.items()
           if not numpy.isclose(results.axes[name].values[i], values[name])]
    for index in indices:
        measured, theory = results.take(quantity.name, **fixed, **{by: index})
        yield Curve(
            label=", ".join([*words, *own,
                             f"{SHORT[by]} = {number(results.axes[by].values[index])}"]),
            x=rescaled.of(results, index) if rescaled else results.axes[along].values,
            measured=quantity.transform(measured),
            theory=None if theory is None else quantity.transform(theory))


def _scale_for(values):
    return "log" if values.min() > 0 and values.max() / values.min() >= WIDE else "linear"


def _pick_along(results, by, critical, values):
    """Indices of axis `by` worth a curve; of many γ, those around the transition."""
    axis = results.axes[by].values
    if by != "gamma" or critical is None or axis.size <= MOST_CURVES:
        return pick(axis.size)
    centre = critical(results, results.axes["n"].values[-1], values["rho"])
    return sorted({nearest(results, by, centre * part) for part in (0.5, 0.75, 1, 1.25, 1.5)})


def _marks(all_results, critical, values):
    if critical is None:
        return ()
    return tuple({round(float(critical(results, n, values["rho"])), 9)
                  for results in all_results for n in results.axes["n"].values})
