"""Pictures of a sphere study: one query against n uniform keys on S^{d−1}."""

import math

from series import Rescaled, draw_against_both, draw_curves_along, quantities


def relative_beta(results, index):
    """β / n^{2/(d−1)} along γ at length number `index`; the critical order is 1.

    arXiv 2605.08505: the nearest of n keys lies at a squared distance of order n^{−2/(d−1)}.
    """
    n = results.axes["n"].values[index]
    return results.axes["gamma"].values * math.log(n) / n ** (2 / (results.config["dimension"] - 1))


def pictures(all_results):
    drawn = quantities(all_results)
    yield from draw_against_both(all_results, drawn, {"gamma": {}, "n": {}})
    if all(results.config.get("dimension", 0) > 1 for results in all_results):
        yield draw_curves_along("gamma", "n", all_results, drawn, {}, rescaled=Rescaled(
            "beta", "β / $n^{2/(d-1)}$", relative_beta))
