"""Contexts by number: operators of PyTorch take integers, not objects."""

import itertools
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from annulus.torch.context import Context

_numbers = itertools.count()
_contexts: "weakref.WeakValueDictionary[int, Context]" = weakref.WeakValueDictionary()


def number_of(context: "Context") -> int:
    """A new number for a context, for as long as that lives."""
    number = next(_numbers)
    _contexts[number] = context
    return number


def context_of(number: int) -> "Context":
    """The context with this number."""
    return _contexts[number]
