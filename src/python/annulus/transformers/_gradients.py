"""Gradients of what comes out of a model, for those who take the mean of them over ranks."""

from typing import Any

import torch


class _Times(torch.autograd.Function):
    """A tensor, whose gradient is multiplied on its way back."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, factor: int) -> torch.Tensor:
        ctx.factor = factor
        # The Trainer multiplies losses in place, which PyTorch refuses of views made here.
        return x.clone() if x.ndim == 0 else x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.factor, None


def with_gradients_times(factor: int, output: Any) -> Any:
    """An output of a model, or a tuple of tensors in it: the same values."""
    if isinstance(output, torch.Tensor):
        return _Times.apply(output, factor) if output.requires_grad else output
    if isinstance(output, tuple):
        return tuple(with_gradients_times(factor, part) for part in output)
    for name, value in output.items():
        output[name] = with_gradients_times(factor, value)
    return output
