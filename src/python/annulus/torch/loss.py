"""Losses over tokens that are spread over ranks."""

from typing import Any

import torch

from annulus.torch._operator import fake, gradients, operator
from annulus.torch._registry import context_of
from annulus.torch.context import Context


@operator
def sum_over_ranks(x: torch.Tensor, context: int) -> torch.Tensor:
    """Collective. The sum of everybody's numbers, in fp64 and in the order of ranks, on all of them: its
    gradient is that of this rank's part."""
    comm = context_of(context).comm
    total = x.detach().to("cpu", torch.float64).contiguous().clone()
    comm.sum(total.view(-1).numpy())
    return total.to(x.device, x.dtype)


@fake(sum_over_ranks)
def _(x: torch.Tensor, context: int) -> torch.Tensor:
    return torch.empty_like(x)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    pass


def _own_part(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
    return gradient, None


gradients(sum_over_ranks, _remember, _own_part)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, context: Context, *,
                  ignore_index: int = -100, label_smoothing: float = 0.0) -> torch.Tensor:
    """Collective. The mean of the cross-entropy over all tokens of all ranks, the same on all of them.

    logits  (..., classes) of this rank's tokens
    labels  (...) int64; those that are ignore_index do not count. shard() brings them into the order of
            the logits; whoever predicts the next token shifts them before that

    Where no label counts, it is NaN, as torch.nn.functional.cross_entropy has it.
    """
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    total = torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), labels.reshape(-1), ignore_index=ignore_index,
        label_smoothing=label_smoothing, reduction="sum")
    count = (labels != ignore_index).sum()
    mean: torch.Tensor = (sum_over_ranks(total, context.number)
                          / sum_over_ranks(count.to(torch.float64), context.number).to(total.dtype))
    return mean
