"""Pictures of a depth study: what is left of the tokens after each layer."""

from series import draw_curves_along, nearest, pick, quantities


def pictures(all_results):
    first = all_results[0]
    chosen = {"n": pick(first.axes["n"].values.size, 3), "rho": [nearest(first, "rho", 0.5)]}
    yield draw_curves_along("layer", "gamma", all_results, quantities(all_results, ("layer",)),
                            chosen)
