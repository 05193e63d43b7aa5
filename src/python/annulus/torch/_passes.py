"""The passes as operators of PyTorch, which torch.compile and checkpoints see as wholes.

q (batch, H, rows, d), k (batch, G, keys, d), v (batch, G, keys, d_v), with any strides: a batch is more
heads, so that no pass is made for each of its sequences, and a tensor whose batch and heads lie at one
stride apart, or whose batch is 1, is not copied. Outputs are fp32, or fp64 for fp64; with rows_first
their memory is (rows, batch, H, d_v), else (batch, H, rows, d_v).

Nothing is kept from pass to pass but tensors: a backward pass fetches keys and values again, and what
rounding took from lse is an output of the forward pass. So does recomputation, as of a checkpoint,
communicate once more.
"""

from typing import Any

import numpy
import torch
from torch.utils.dlpack import to_dlpack  # type: ignore[attr-defined]

from annulus import _core
from annulus._arrays import numbers
from annulus.attention import RingAttention
from annulus.errors import InputError
from annulus.torch._operator import fake, gradients, operator
from annulus.torch._registry import context_of


def _sums(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def _shared(x: torch.Tensor) -> object:
    """Its memory for the engine, in a capsule of DLPack; a copy where batch and heads do not lie at one
    stride, or d has gaps."""
    strides = x.stride()
    batch, heads, _, *d = x.shape
    if (d and strides[3] != 1) or (batch > 1 and strides[0] != heads * strides[1]):
        x = x.contiguous()
    return to_dlpack(x)


def _settle(x: torch.Tensor) -> None:
    """Waits for what PyTorch has enqueued where x is on a GPU: engines have streams of their own, and a
    capsule does not say when its memory is ready."""
    if x.is_cuda:
        torch.cuda.current_stream(x.device).synchronize()


def _empty(like: torch.Tensor, width: int | None, rows_first: bool) -> torch.Tensor:
    """For each batch, head and row of `like` `width` sums, or one."""
    batch, heads, rows = like.shape[:3]
    rest = () if width is None else (width,)
    dtype = _sums(like.dtype)
    if rows_first:
        memory = like.new_empty((rows, batch, heads, *rest), dtype=dtype)
        return memory.permute(1, 2, 0, *range(3, memory.ndim))
    return like.new_empty((batch, heads, rows, *rest), dtype=dtype)


def _engine(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, context: int) -> RingAttention:
    batch, heads, _, d = q.shape
    return context_of(context).engine(batch * heads, batch * k.shape[1], d, v.shape[3],
                                               q.dtype, q.device.type)


def _of_heads(values: torch.Tensor | None, batch: int) -> numpy.ndarray | None:
    """Numbers for the heads of all sequences."""
    each = None if values is None else numbers(values)
    return None if each is None else numpy.tile(each, batch)


@operator
def forward(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, gain: torch.Tensor | None,
            sink: torch.Tensor | None, context: int,
            rows_first: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Collective. out, lse, and what rounding took from lse, the last two (batch, H, rows)."""
    engine = _engine(q, k, v, context)
    out = _empty(q, v.shape[3], rows_first)
    lse, lse_low = (_empty(q, None, False) for _ in range(2))
    batch = q.shape[0]
    arguments = _core.ForwardArguments(_shared(lse), {}, _of_heads(gain, batch),
                                       _of_heads(sink, batch), None)
    _settle(q)
    engine._engine.forward(_shared(q), _shared(k), _shared(v), _shared(out), arguments,
                           lse_low=_shared(lse_low), batch=batch)
    return out, lse, lse_low


@fake(forward)
def _(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, gain: torch.Tensor | None,
      sink: torch.Tensor | None, context: int,
      rows_first: bool) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return (_empty(q, v.shape[3], rows_first), _empty(q, None, False), _empty(q, None, False))


@operator
def backward(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, gain: torch.Tensor | None,
             sink: torch.Tensor | None, out: torch.Tensor, lse: torch.Tensor,
             lse_low: torch.Tensor, dout: torch.Tensor | None, dlse: torch.Tensor | None,
             context: int, rows_first: bool) -> tuple[
                 torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Collective. dq, dk, dv as out is, and dgain and dsink (H), of the whole sequence; the last is
    zeros without sinks."""
    engine = _engine(q, k, v, context)
    batch, heads = q.shape[:2]
    dq, dk, dv = (_empty(x, x.shape[3], rows_first) for x in (q, k, v))
    dgain, dsink = numpy.zeros(batch * heads), numpy.zeros(batch * heads)
    arguments = _core.ForwardArguments(None, {}, _of_heads(gain, batch), _of_heads(sink, batch), None)
    dout = torch.zeros_like(out) if dout is None else dout
    _settle(q)
    engine._engine.backward(
        _shared(q), _shared(k), _shared(v), _shared(out), _shared(lse),
        _shared(dout.to(q.dtype)), None if dlse is None else _shared(dlse), _shared(dq), _shared(dk),
        _shared(dv),
        None if gain is None else dgain, None if sink is None else dsink, arguments,
        lse_low=_shared(lse_low), batch=batch)
    of_gain, of_sink = (torch.from_numpy(each.reshape(batch, heads).sum(0)).to(q.device)
                        for each in (dgain, dsink))
    return dq, dk, dv, of_gain, of_sink


@fake(backward)
def _(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, gain: torch.Tensor | None,
      sink: torch.Tensor | None, out: torch.Tensor, lse: torch.Tensor, lse_low: torch.Tensor,
      dout: torch.Tensor | None, dlse: torch.Tensor | None, context: int,
      rows_first: bool) -> tuple[
          torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    dq, dk, dv = (_empty(x, x.shape[3], rows_first) for x in (q, k, v))
    of_gain, of_sink = (q.new_empty((q.shape[1],), dtype=torch.float64) for _ in range(2))
    return dq, dk, dv, of_gain, of_sink


def _keep_nothing(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    pass


def _refuse(ctx: Any, *_: torch.Tensor | None) -> None:
    raise InputError("annulus.torch.ring_attention has first derivatives alone; expected a loss without "
                     "gradients of its gradients")


gradients(backward, _keep_nothing, _refuse)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    q, k, v, gain, sink, ctx.context, ctx.rows_first = inputs
    ctx.kept = context_of(ctx.context)  # for as long as there is something to go back through
    ctx.save_for_backward(q, k, v, gain, sink, *output)
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, dout: torch.Tensor | None, dlse: torch.Tensor | None,
              _: torch.Tensor | None) -> tuple[Any, ...]:
    """That of a rounding is none."""
    q, k, v, gain, sink, out, lse, lse_low = ctx.saved_tensors
    dq, dk, dv, dgain, dsink = backward(q, k, v, gain, sink, out, lse, lse_low, dout, dlse,
                                        ctx.context, ctx.rows_first)
    return (dq.to(q.dtype), dk.to(k.dtype), dv.to(v.dtype),
            None if gain is None else dgain.to(gain.dtype),
            None if sink is None else dsink.to(sink.dtype), None, None)


gradients(forward, _remember, _backward)
