"""Forward and backward passes over the rows of one rank."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy

from annulus import _core
from annulus._arrays import empty, sums_of
from annulus._outputs import arguments, outputs


@dataclasses.dataclass(frozen=True)
class Forward:
    """What a forward pass gives, of this rank's rows. Arrays are fp32, or fp64 for fp64 inputs."""

    out: Any
    """(rows, H, d_v); 0 for a query that sees no key"""
    lse: Any
    """(rows, H), natural log of the sum of e^logit, -inf for a query that sees nothing; or None"""
    statistics: dict[str, Any]
    """(rows, H) each, by name"""
    held: _core.Held | None
    """what a backward pass starts from, if it was asked for"""
    report: _core.PassReport
    """seconds, exposed_seconds and bytes_sent of this rank"""


@dataclasses.dataclass(frozen=True)
class Gradients:
    """What a backward pass gives. Arrays are fp32, or fp64 for fp64 inputs."""

    dq: Any
    """(rows, H, d)"""
    dk: Any
    """(keys, G, d)"""
    dv: Any
    """(keys, G, d_v)"""
    dgain: numpy.ndarray
    """(H) fp64, of the whole sequence, the same on all ranks"""
    dsink: numpy.ndarray | None
    """(H) fp64, likewise; None without sinks"""
    report: _core.PassReport


class RingAttention:
    """Exact attention over a sequence whose rows are spread over the ranks of a communicator.

    plan     from make_plan, for as many ranks
    comm     from annulus.comm
    backend  'auto' (the fastest on the device) or one of annulus.backends()
    device   'auto' (the CPU), 'cpu' or 'cuda'
    threads  of this rank; by default its share of the node's cores

    Collective, as are its methods: all ranks call them in the same order, with the same options.
    Where they do not, and where the arguments of one rank are wrong, all ranks raise the same
    InputError. One thread at a time uses a communicator, and what is made with it; Ctrl-C ends a
    pass, and with it the use of the communicator.
    """

    def __init__(self, plan: _core.Plan, comm: _core.Communicator, *, backend: str = "auto",
                 device: str = "auto", threads: int = 0) -> None:
        self._engine = _core.Attention(plan, comm, backend=backend, device=device,
                                       threads=threads)
        self.plan = plan
        self.comm = comm

    def forward(self, q: Any, k: Any, v: Any, *, out: Any = None, lse: Any = False,
                statistics: bool | Sequence[str] = False, gain: Any = None, sink: Any = None,
                logit_scale: Any = None, hold: bool = False) -> Forward:
        """Attention of this rank's queries over the keys of all ranks.

        q            (rows, H, d), the rows plan.query_rows(rank) of the sequence, in the plan's
                     precision; any array that DLPack exports, with any strides but on the last axis:
                     (H, rows, d) is q.transpose(1, 0, 2), and is not copied
        k, v         (keys, G, d) and (keys, G, d_v), the rows plan.key_rows(rank), likewise
        out          where to write, (rows, H, d_v) in fp32, or fp64 for fp64 inputs; by default a new
                     array of the library of q
        lse          True for a new array, or where to write, (rows, H)
        statistics   True for all of annulus.statistics(), or names of some
        gain         (H), multiplies the logits of a head; the same on all ranks
        sink         (H), logits of one more key with value 0; the same on all ranks
        logit_scale  (rows) or (rows, H): the scales of the policy 'table'
        hold         keep what a backward pass starts from: up to two shards of keys and values

        Raises InputError, on all ranks, for arrays that do not fit, and CommunicationError where a
        transport or another rank fails.
        """
        plan = self.plan
        out, lse, measured = outputs(q, plan.query_count(self.comm.rank), plan.problem,
                                     plan.precision, out, lse, statistics)
        held = _core.Held() if hold else None
        report = self._engine.forward(
            q, k, v, out, arguments(plan.problem, lse, measured, gain, sink, logit_scale), held)
        return Forward(out, lse, measured, held, report)

    def backward(self, q: Any, k: Any, v: Any, out: Any, lse: Any, dout: Any, *, dlse: Any = None,
                 gain: Any = None, sink: Any = None, logit_scale: Any = None,
                 held: _core.Held | None = None) -> Gradients:
        """The gradients of the sum over all ranks of <dout, out>, and of dlse lse.

        q, k, v, gain, sink, logit_scale  as the forward pass was given them
        out, lse  what it gave
        dout      (rows, H, d_v) in the plan's precision
        dlse      (rows, H), as lse; on all ranks, or on none
        held      of that forward pass, which is used up; without it, keys and values travel once
                  more, and lse counts as exact

        Raises as forward does.
        """
        rank, problem = self.comm.rank, self.plan.problem
        precision = sums_of(self.plan.precision)
        rows, keys = self.plan.query_count(rank), self.plan.key_count(rank)
        dq = empty(q, (rows, problem.query_heads, problem.head_dim), precision)
        dk = empty(k, (keys, problem.key_heads, problem.head_dim), precision)
        dv = empty(v, (keys, problem.key_heads, problem.value_dim), precision)
        dgain = numpy.empty(problem.query_heads)
        dsink = None if sink is None else numpy.empty(problem.query_heads)
        report = self._engine.backward(
            q, k, v, out, lse, dout, dlse, dq, dk, dv, dgain, dsink,
            arguments(problem, None, {}, gain, sink, logit_scale), held)
        return Gradients(dq, dk, dv, dgain, dsink, report)
