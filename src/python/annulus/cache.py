"""Decode, and prefill in chunks, over a cache that is spread over ranks."""

from collections.abc import Sequence
from typing import Any

import numpy

from annulus import _core
from annulus._outputs import arguments, outputs
from annulus.attention import Forward


class Cache:
    """Keys and values of growing sequences, each rank keeping what it was given, and attention over
    all of them. Queries travel; keys stay where they are.

    problem    its documents are the sequences, with the lengths that they have in the end, which is
               what logit scales with length=global see; of a sequence of length 0 they see the tokens
               that are there so far
    comm       from annulus.comm
    precision  'fp32', 'fp64', 'bf16' or 'fp16'
    backend, threads  as of RingAttention

    n tokens that are appended and attended one by one give what one forward pass gives.
    """

    def __init__(self, problem: _core.Problem, comm: _core.Communicator, *, precision: str = "fp32",
                 backend: str = "auto", threads: int = 0) -> None:
        self._cache = _core.Cache(problem, comm, precision=precision, backend=backend,
                                  threads=threads)
        self.problem = problem
        self.comm = comm
        self.precision = precision
        self._rows = 0

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence, on all ranks."""
        return self._cache.lengths

    @property
    def bytes(self) -> int:
        """Of the keys and values that this rank holds."""
        return self._cache.bytes

    def next(self, counts: Sequence[int]) -> numpy.ndarray:
        """Takes the next counts[b] tokens of each sequence b, the same on all ranks, for those that
        the following calls are about. Returns (sequence, position) of each that this rank is given,
        (rows, 2) int64, in the order of its rows."""
        return self._taken(self._cache.next([int(count) for count in counts]))

    def next_of(self, plan: _core.Plan) -> numpy.ndarray:
        """The same for the tokens of a plan, where it gives them: after a prefill by RingAttention,
        its keys and values are appended as they are."""
        return self._taken(self._cache.next_of(plan))

    def append(self, k: Any, v: Any) -> None:
        """Appends this rank's tokens: k (rows, G, d), v (rows, G, d_v). Nothing is communicated."""
        self._cache.append(k, v)

    def attend(self, q: Any, *, out: Any = None, lse: Any = False,
               statistics: bool | Sequence[str] = False, gain: Any = None, sink: Any = None,
               logit_scale: Any = None) -> Forward:
        """Collective. Attention of this rank's tokens, q (rows, H, d), over all that is in the cache,
        they themselves included. Options and outputs as of RingAttention.forward."""
        out, lse, measured = outputs(q, self._rows, self.problem, self.precision, out, lse,
                                     statistics)
        report = self._cache.attend(
            q, out, arguments(self.problem, lse, measured, gain, sink, logit_scale))
        return Forward(out, lse, measured, None, report)

    def _taken(self, runs: list[_core.Run]) -> numpy.ndarray:
        tokens = [(run.document, run.first + i * run.stride)
                  for run in runs for i in range(run.count)]
        self._rows = len(tokens)
        return numpy.array(tokens, dtype=numpy.int64).reshape(-1, 2)
