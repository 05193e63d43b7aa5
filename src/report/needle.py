"""Pictures of a needle study: what one key keeps against n − 1 others."""

from phase import critical_gamma, critical_label
from series import draw_against, pick, quantities


def pictures(all_results):
    first = all_results[0]
    rho = {"rho": pick(first.axes["rho"].values.size, 4)}
    yield from draw_against("gamma", "n", all_results, quantities(all_results), rho,
                            critical_gamma, critical_label(first))
