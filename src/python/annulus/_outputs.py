"""What passes write, and what they take besides queries, keys and values."""

from collections.abc import Sequence
from typing import Any

import numpy

from annulus import _core
from annulus._arrays import empty, numbers, sums_of


def outputs(q: Any, rows: int, problem: _core.Problem, precision: str, out: Any, lse: Any,
            statistics: bool | Sequence[str]) -> tuple[Any, Any, dict[str, Any]]:
    """out, lse or None, and statistics by name: those of the caller, or new arrays as q is one."""
    heads, sums = problem.query_heads, sums_of(precision)
    if out is None:
        out = empty(q, (rows, heads, problem.value_dim), sums)
    if lse is True:
        lse = empty(q, (rows, heads), sums)
    elif lse is False:
        lse = None
    names = _core.statistics() if statistics is True else list(statistics or ())
    return out, lse, {name: empty(q, (rows, heads), sums) for name in names}


def arguments(problem: _core.Problem, lse: Any, statistics: dict[str, Any], gain: Any, sink: Any,
              logit_scale: Any) -> _core.ForwardArguments:
    """Numbers as the engine has them: a scale for each query is one for each of its heads."""
    table = numbers(logit_scale)
    if table is not None and table.ndim == 1:
        table = numpy.repeat(table[:, None], problem.query_heads, axis=1)
    return _core.ForwardArguments(lse, statistics, numbers(gain), numbers(sink), table)
