"""What the ranks of a model share: a sequence, who holds which of its tokens, and engines."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist

from annulus import _core
from annulus import comm as comm_
from annulus.attention import RingAttention
from annulus.errors import InputError
from annulus.torch import _exchange
from annulus.torch._registry import number_of

PRECISIONS = {torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16",
              torch.float16: "fp16"}


class Context:
    """A sequence that is spread over ranks. Collective to make, and to use.

    length       tokens of the whole sequence
    documents    cumulated lengths of packed documents, which do not see each other: D + 1 integers from
                 0 to length; by default one document
    comm         a process group of PyTorch, a communicator of mpi4py or of annulus.comm; by default
                 the default process group where there is one, else this process alone
    mask, logit_scale    as of annulus.Problem; not the policy 'table'
    sharding, schedule   as of annulus.make_plan
    backend, threads     as of annulus.RingAttention

    rows          which tokens of the sequence this rank holds, (count) int64: shard(x, 0) is x[rows]
    position_ids  the positions of this rank's tokens in their documents, (count) int64
    count         how many tokens this rank holds
    sharding      by name, what 'auto' chose
    rank, ranks   which of how many this one is

    Sequences of a batch share one sharding. Nothing has to be divisible by anything. Raises InputError
    for what makes no sense, and on all ranks where these do not say the same.
    """

    def __init__(self, length: int, documents: Any = None, comm: Any = None, mask: str = "causal",
                 logit_scale: str = "none", sharding: str = "auto", schedule: str = "auto", *,
                 backend: str = "auto", threads: int = 0) -> None:
        self.length = length
        self.documents = [0, length] if documents is None else [int(at) for at in documents]
        if self.documents[-1] != length:
            raise InputError(f"documents end at {self.documents[-1]}; expected length, {length}")
        self.comm = communicator(comm)
        self.mask, self.logit_scale = mask, logit_scale
        self._schedule, self._backend, self._threads = schedule, backend, threads
        self._engines: dict[tuple[Any, ...], RingAttention] = {}
        # Who holds what does not depend on heads: it is decided here, for all that will be computed.
        self.sharding = sharding
        plan = self._plan(1, 1, 64, 64, "fp32")
        RingAttention(plan, self.comm)  # which raises, on all ranks, where they do not say the same
        self.sharding = plan.sharding
        self._rows = [torch.from_numpy(plan.query_rows(rank)) for rank in range(self.comm.size)]
        self.ranks, self.rank = self.comm.size, self.comm.rank
        self.rows = self._rows[self.rank]
        self.position_ids = _positions(self.documents)[self.rows]
        self.count = len(self.rows)
        if plan.problem.logit_scale.startswith("table"):
            raise InputError("logit_scale: the policy 'table' is not for models; expected another")
        self.number = number_of(self)

    def shard(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """This rank's tokens of x, which is the same on all ranks and has `length` of them along dim.
        Its gradient is that of the whole x, on all ranks, so that a backward pass gathers."""
        if x.shape[dim] != self.length:
            raise InputError(f"shard: x has {x.shape[dim]} tokens along {dim}; expected "
                             f"{self.length}")
        part: torch.Tensor = _exchange.shard(x, dim, self.number)
        return part

    def unshard(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Collective. The whole of x, on all ranks, of which each gives its tokens along dim. Its
        gradient is this rank's part of that of the whole."""
        if x.shape[dim] != self.count:
            raise InputError(f"unshard: x has {x.shape[dim]} tokens along {dim}; expected "
                             f"{self.count}, those of this rank")
        whole: torch.Tensor = _exchange.unshard(x, dim, self.number)
        return whole

    def rows_of(self, rank: int) -> torch.Tensor:
        """Which tokens another rank holds."""
        return self._rows[rank]

    def engine(self, query_heads: int, key_heads: int, head_dim: int, value_dim: int,
               dtype: torch.dtype, device: str) -> RingAttention:
        """Collective the first time. What computes with tensors of this shape and type."""
        key = (query_heads, key_heads, head_dim, value_dim, dtype, device)
        if key not in self._engines:
            if dtype not in PRECISIONS:
                raise InputError(f"q is {dtype}; expected one of "
                                 + ", ".join(str(known) for known in PRECISIONS))
            plan = self._plan(query_heads, key_heads, head_dim, value_dim, PRECISIONS[dtype])
            self._engines[key] = RingAttention(plan, self.comm, backend=self._backend, device=device,
                                               threads=self._threads)
        return self._engines[key]

    def _problem(self, query_heads: int, key_heads: int, head_dim: int,
                 value_dim: int) -> _core.Problem:
        return _core.Problem(documents=self.documents, query_heads=query_heads,
                             key_heads=key_heads, head_dim=head_dim, value_dim=value_dim,
                             mask=self.mask, logit_scale=self.logit_scale)

    def _plan(self, query_heads: int, key_heads: int, head_dim: int, value_dim: int,
              precision: str) -> _core.Plan:
        problem = self._problem(query_heads, key_heads, head_dim, value_dim)
        return _core.make_plan(problem, ranks=self.comm, sharding=self.sharding,
                               schedule=self._schedule, precision=precision)


def communicator(comm: Any) -> _core.Communicator:
    """What a Context says of its comm."""
    if isinstance(comm, _core.Communicator):
        return comm
    if comm is None:
        return comm_.torch() if dist.is_available() and dist.is_initialized() else comm_.self()
    if type(comm).__module__.startswith("mpi4py"):
        return comm_.mpi(comm)
    return comm_.torch(comm)


def _positions(documents: Sequence[int]) -> torch.Tensor:
    return torch.cat([torch.arange(end - begin)
                      for begin, end in itertools.pairwise(documents)])
