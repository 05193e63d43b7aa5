"""Whole tensors to shards and back, as operators of PyTorch with gradients.

What is whole is the same on all ranks, its gradient as well: so the gradient of one of the two
operators is the other.
"""

from typing import Any

import torch

from annulus.torch._operator import fake, gradients, operator
from annulus.torch._registry import context_of


@operator
def shard(x: torch.Tensor, dim: int, context: int) -> torch.Tensor:
    """The tokens of x, along dim, that this rank holds."""
    rows = context_of(context).rows
    return x.index_select(dim, rows.to(x.device))


@operator
def unshard(x: torch.Tensor, dim: int, context: int) -> torch.Tensor:
    """Collective. The tokens of all ranks, in the order of the sequence."""
    known = context_of(context)
    comm = known.comm
    mine = x.movedim(dim, 0)
    shape = mine.shape[1:]
    parts = [torch.empty((len(known.rows_of(rank)), *shape), dtype=x.dtype)
             for rank in range(comm.size)]
    parts[comm.rank].copy_(mine)
    comm.exchange_all([part.view(-1).view(torch.uint8).numpy() for part in parts])
    whole = torch.empty((known.length, *shape), dtype=x.dtype, device=x.device)
    for rank, part in enumerate(parts):
        whole[known.rows_of(rank).to(x.device)] = part.to(x.device)
    return whole.movedim(0, dim).contiguous()


def _of_length(x: torch.Tensor, dim: int, length: int) -> torch.Tensor:
    shape = list(x.shape)
    shape[dim] = length
    return x.new_empty(shape)


@fake(shard)
def _(x: torch.Tensor, dim: int, context: int) -> torch.Tensor:
    return _of_length(x, dim, context_of(context).count)


@fake(unshard)
def _(x: torch.Tensor, dim: int, context: int) -> torch.Tensor:
    return _of_length(x, dim, context_of(context).length)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    _, ctx.dim, ctx.context = inputs


def _shard_backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
    return unshard(gradient, ctx.dim, ctx.context), None, None


def _unshard_backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
    return shard(gradient, ctx.dim, ctx.context), None, None


gradients(shard, _remember, _shard_backward)
gradients(unshard, _remember, _unshard_backward)
