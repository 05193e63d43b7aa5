"""Functions of tensors as operators of PyTorch."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch._ops import OpOverload

Function = TypeVar("Function", bound=Callable[..., Any])


def operator(function: Callable[..., Any]) -> OpOverload:
    """The operator annulus::NAME, which is a decorated function NAME with types; it modifies none of its
    arguments, and returns none of them.

    torch.library.custom_op makes the same, and looks at every call whether that is so: 14 of some 100
    microseconds. opcheck looks at it in the tests.
    """
    name = f"annulus::{function.__name__}"
    torch.library.define(name, torch.library.infer_schema(function, mutates_args=()),
                         tags=(torch.Tag.pt2_compliant_tag,))
    torch.library.impl(name, "default", function)
    made: OpOverload = getattr(torch.ops.annulus, function.__name__).default
    return made


def fake(of: OpOverload) -> Callable[[Function], Function]:
    """Decorates what gives the shapes of an operator's results, for compilers."""
    decorator: Callable[[Function], Function] = torch.library.register_fake(of)
    return decorator


def gradients(of: OpOverload, remember: Callable[..., None], backward: Callable[..., Any]) -> None:
    """Gives an operator gradients: remember(ctx, inputs, output) after it, backward(ctx, *gradients) for
    those of its inputs.

    torch.library.register_autograd makes the same, and looks at every argument of the schema at every
    call that wants gradients: 20 to 60 microseconds.
    """
    def compute(*inputs: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return of(*inputs)

    class Node(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            output = compute(*inputs)
            remember(ctx, inputs, output)
            return output

        @staticmethod
        def backward(ctx: Any, *grad_outputs: Any) -> Any:
            return backward(ctx, *grad_outputs)

    def differentiable(*inputs: Any) -> Any:
        wanted = torch.is_grad_enabled() and torch._C._any_requires_grad(*inputs)
        return (Node.apply if wanted else compute)(*inputs)

    torch.library.impl(of.name(), "Autograd", differentiable)  # type: ignore[no-untyped-call]
