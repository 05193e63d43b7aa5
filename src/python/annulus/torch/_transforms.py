"""Transforms of functions that these operators cannot honour, and would not always refuse."""

import torch
from torch._C import _functorch  # no public function says which transforms are under way
from torch.autograd import forward_ad

from annulus.errors import InputError


def refuse_transforms(tensors: tuple[torch.Tensor, ...]) -> None:
    """Raises InputError under torch.func.grad, jvp and their kin, and for tensors with tangents:
    gradients are those of torch.autograd, of first order. vmap computes one call after the other."""
    if torch.compiler.is_compiling():
        return
    transform = _functorch.peek_interpreter_stack()
    if transform is not None and transform.key() != _functorch.TransformType.Vmap:
        raise InputError(f"torch.func.{transform.key().name.lower()}: annulus.torch.ring_attention has "
                         "gradients by torch.autograd alone; expected backward() or autograd.grad")
    if forward_ad._current_level >= 0 and any(
            forward_ad.unpack_dual(x).tangent is not None  # type: ignore[no-untyped-call]
            for x in tensors):
        raise InputError("torch.autograd.forward_ad: annulus.torch.ring_attention has no forward-mode "
                         "derivative; expected backward() or autograd.grad")
