"""Attention as a function, and as a module with gains and sinks of its own."""

from typing import Literal, overload

import torch

from annulus.errors import InputError
from annulus.torch import _passes
from annulus.torch._transforms import refuse_transforms
from annulus.torch.context import Context

Layout = Literal["bhnd", "bnhd", "nhd"]


def _by_heads(x: torch.Tensor, layout: str, name: str) -> torch.Tensor:
    """A view (batch, heads, rows, d)."""
    axes = {"bhnd": 4, "bnhd": 4, "nhd": 3}.get(layout)
    if axes is None:
        raise InputError(f"layout is {layout!r}; expected 'bhnd', 'bnhd' or 'nhd'")
    if x.ndim != axes:
        raise InputError(f"{name} has {x.ndim} axes; expected {axes}, as layout {layout} has")
    if layout == "nhd":
        return x.transpose(0, 1).unsqueeze(0)
    return x.transpose(1, 2) if layout == "bnhd" else x


def _as_given(x: torch.Tensor, layout: str) -> torch.Tensor:
    """The inverse."""
    if layout == "nhd":
        return x.squeeze(0).transpose(0, 1)
    return x.transpose(1, 2) if layout == "bnhd" else x


class _OwnPart(torch.autograd.Function):
    """A parameter that all ranks have, each of which is left an even part of its gradient."""

    @staticmethod
    def forward(ctx, parameter: torch.Tensor, ranks: int) -> torch.Tensor:  # type: ignore[no-untyped-def]
        ctx.ranks = ranks
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor):  # type: ignore[no-untyped-def]
        return gradient / ctx.ranks, None


@overload
def ring_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, context: Context, *,
                   gain: torch.Tensor | None = None, sink: torch.Tensor | None = None,
                   layout: Layout = "bhnd", return_lse: Literal[False] = False,
                   reduce_parameters: bool = True) -> torch.Tensor: ...
@overload
def ring_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, context: Context, *,
                   gain: torch.Tensor | None = None, sink: torch.Tensor | None = None,
                   layout: Layout = "bhnd", return_lse: Literal[True],
                   reduce_parameters: bool = True) -> tuple[torch.Tensor, torch.Tensor]: ...


def ring_attention(q, k, v, context, *, gain=None, sink=None, layout="bhnd",  # type: ignore[no-untyped-def]
                   return_lse=False, reduce_parameters=True):
    """Collective. Attention of this rank's tokens over those of all ranks, exact, with gradients.

    q        (batch, H, rows, d), this rank's rows in the order of context.shard
    k, v     (batch, G, rows, d) and (batch, G, rows, d_v), H a multiple of G; of the type of q
    context  the sequence, its mask and its logit scale
    gain     (H), multiplies the logits of a head: the s of SSMax, the gamma of the critical scale; the
             same on all ranks
    sink     (H), logits of one more key with value 0; the same on all ranks
    layout   'bhnd' as above, 'bnhd' (batch, rows, heads, d) or 'nhd' (rows, heads, d)
    return_lse  also (batch, H, rows), natural log of the sum of e^logit, fp32 or fp64, with gradients
    reduce_parameters  the gradients of gain and sink are those of the whole sequence on every rank; if
             False, each rank gets an even part of them, for a trainer that sums over ranks

    Returns (batch, H, rows, d_v), or in the layout given, in the type of q. Sums are fp32 at least.
    Under autocast, inputs are cast as those of scaled_dot_product_attention are. Raises InputError, on
    all ranks, for tensors that do not fit.
    """
    refuse_transforms((q, k, v))
    if torch.is_autocast_enabled(q.device.type):
        dtype = torch.get_autocast_dtype(q.device.type)
        q, k, v = (x.to(dtype) for x in (q, k, v))
    if not reduce_parameters:
        gain, sink = (None if x is None else _OwnPart.apply(x, context.ranks)
                      for x in (gain, sink))
    q, k, v = (_by_heads(x, layout, name) for x, name in ((q, "q"), (k, "k"), (v, "v")))
    out, lse, _ = _passes.forward(q, k, v, gain, sink, context.number, layout != "bhnd")
    out = _as_given(out.to(q.dtype), layout)
    return (out, lse) if return_lse else out


class RingAttention(torch.nn.Module):
    """ring_attention with a gain and a sink for each head, where they are asked for.

    context  see Context
    heads    H, where there are gains or sinks
    gain     True for gains, 1 at first, or with what they start
    sink     True for sinks, 0 at first, or with what they start
    layout, reduce_parameters  as of ring_attention
    """

    gain: torch.nn.Parameter | None
    sink: torch.nn.Parameter | None

    def __init__(self, context: Context, heads: int | None = None, *, gain: bool | float = False,
                 sink: bool | float = False, layout: Layout = "bhnd",
                 reduce_parameters: bool = True) -> None:
        super().__init__()
        self.context = context
        self.layout = layout
        self.reduce_parameters = reduce_parameters
        for name, start, default in (("gain", gain, 1.0), ("sink", sink, 0.0)):
            if start is False:
                self.register_parameter(name, None)
                continue
            if heads is None:
                raise InputError(f"heads: expected how many there are, beside {name}")
            value = default if start is True else float(start)
            self.register_parameter(name, torch.nn.Parameter(torch.full((heads,), value)))

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return ring_attention(q, k, v, self.context, gain=self.gain, sink=self.sink,
                              layout=self.layout, reduce_parameters=self.reduce_parameters)

    def extra_repr(self) -> str:
        return f"length={self.context.length}, mask={self.context.mask}, layout={self.layout}"
