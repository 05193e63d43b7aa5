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
