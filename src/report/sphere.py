"""Pictures of a sphere study: one query against uniform keys."""

from series import draw_against, quantities


def pictures(all_results):
    yield from draw_against("gamma", "n", all_results, quantities(all_results))
