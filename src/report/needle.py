"""Pictures of a needle study: what one key keeps against n − 1 others."""

from phase import critical_gamma, critical_label
from series import draw_against_both, nearest, pick, quantities


def pictures(all_results):
    first = all_results[0]
    chosen = {"gamma": {"rho": pick(first.axes["rho"].values.size, 4)},
              "n": {"rho": [nearest(first, "rho", 0.5)]}}
    yield from draw_against_both(all_results, quantities(all_results), chosen, critical_gamma,
                                 critical_label(all_results))
