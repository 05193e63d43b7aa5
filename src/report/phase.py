"""Pictures of a phase study: the phase diagram, and the statistics beside their closed forms."""

import math
import textwrap

import numpy

from captions import axis_label, model, number, points, provenance
from heat_map import ColourScale, HeatMap, draw_heat_maps
from page import Picture
from series import draw_against_both, nearest, quantities

MAPS = {
    "output_cosine": ("cosine", "Mean pairwise cosine of the outputs",
                      ColourScale("cosine of outputs", "cividis", limits=(0.0, 1.0))),
    "contraction": ("contraction", "Contraction: spread of the outputs / spread of the tokens",
                    ColourScale("contraction", "cividis_r", limits=(0.0, 1.0))),
    # Its scale is that of the tokens, 1/‖x‖²: another one for every file.
    "gradient_norm": ("gradient_norm", "Size of the input gradient, η = ‖∂X′/∂X‖² / (n d)",
                      ColourScale("η", "viridis", logarithmic=True, shared=False)),
}


def critical_gamma(results, n, rho):
    """γ at which n tokens turn from collapse to identity; arXiv 2510.05554, theorem 1.

    Tokens that share m directions compete as m, so that n^{γ(1−ρ)} = m there.
    """
    clustered = results.config.get("tokens") == "clustered"
    competitors = results.config["directions"] if clustered else n
    # A single token has no transition.
    return math.log(competitors) / (math.log(n) or math.nan) / (1 - numpy.asarray(rho))


def critical_label(all_results):
    clustered = any(results.config.get("tokens") == "clustered" for results in all_results)
    return "critical " + ("γ = ln m / ((1 − ρ) ln n)" if clustered else "γ = 1/(1 − ρ)")


def pictures(all_results):
    first = all_results[0]
    maps_fit = all(results.axes[name].values.size > 1 for results in all_results
                   for name in ("rho", "gamma"))
    if maps_fit:
        for name in MAPS:
            if all(name in results.measured for results in all_results):
                yield _phase_diagram(all_results, name)
    if any(results.theory for results in all_results) or not maps_fit:
        one = {"rho": [nearest(first, "rho", 0.5)]}
        yield from draw_against_both(all_results, quantities(all_results),
                                     {"gamma": one, "n": one}, critical_gamma,
                                     critical_label(all_results))


def _phase_diagram(all_results, name):
    picture, title, scale = MAPS[name]
    maps = []
    for results in all_results:
        for index, n in enumerate(results.axes["n"].values):
            rho, gamma = results.axes["rho"].values, results.axes["gamma"].values
            values, _ = results.take(name, n=index)
            line_rho = numpy.linspace(0, 1, 401)[:-1]
            done, total = results.finished_at(n=index)
            words = model(results)
            words.insert(len(words) - 1, f"n = {number(n)}")
            lines = textwrap.wrap(", ".join(words), 36)
            lines += [] if done == total else [f"{done} of {total} points"]
            maps.append(HeatMap(
                title="\n".join(lines),
                x=rho, y=gamma, values=values.T,
                line=(line_rho, critical_gamma(results, n, line_rho))))
    first = all_results[0]
    figure = draw_heat_maps(maps, scale, axis_label(first, "rho"), axis_label(first, "gamma"),
                            critical_label(all_results), [title, *points(all_results)],
                            provenance(all_results))
    return Picture(picture, figure)
