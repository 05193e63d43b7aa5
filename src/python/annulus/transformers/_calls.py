"""One call of a model: which of its tokens this rank has, and how they attend."""

from collections.abc import Callable
from typing import Any, Protocol

import torch

from annulus.errors import InputError
from annulus.torch import Context, ring_attention
from annulus.transformers._families import PositionScale
from annulus.transformers._reach import Reach
from annulus.transformers._tokens import Tokens


class Call(Protocol):
    """What the layers of a model are given, by the name annulus, beside their tokens."""

    count: int
    """how many tokens this rank has"""
    places: torch.Tensor
    """(rows) int64, where they lie in the batch, flattened; of a rank that has none, that of one which it
    computes and nobody sees, since models are not made for no tokens"""
    position_ids: torch.Tensor
    """(1, rows) int64, of these, as the model is to see them"""
    positions: torch.Tensor
    """(1, count) int64, of this rank's tokens in their documents"""
    replaces_scaling: bool
    """whether the logit scale stands in place of the model's own scaling"""
    scale_of: Callable[[Any], PositionScale | None]
    """how an attention module scales its queries by their positions, where ranks have to do it"""

    more: dict[str, Any]
    """what else the model is given"""

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
               reach: Reach, gain: torch.Tensor | None, sink: torch.Tensor | None) -> torch.Tensor:
        """Collective. (1, H, rows, d_v), of query (1, H, rows, d) and key and value (1, G, rows, d)."""


def or_first(rows: torch.Tensor) -> torch.Tensor:
    """What a rank computes: these tokens, or the first of all."""
    return rows if len(rows) else torch.zeros(1, dtype=torch.int64)


class Pass:
    """A call with gradients, of whole sequences."""

    def __init__(self, tokens: Tokens, contexts: dict[Reach, Context], replaces_scaling: bool,
                 scale_of: Callable[[Any], PositionScale | None]) -> None:
        self.tokens = tokens
        self.contexts = contexts
        self.context = next(iter(contexts.values()))
        self.replaces_scaling = replaces_scaling
        self.scale_of = scale_of
        self.more = {"use_cache": False}
        rows = self.context.rows
        self.count = len(rows)
        self.places = tokens.places[or_first(rows)]
        self.position_ids = tokens.position_ids[or_first(rows)][None]
        begins = torch.tensor(tokens.documents)
        document = torch.searchsorted(begins, rows, right=True) - 1
        self.positions = (rows - begins[document])[None]

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
               reach: Reach, gain: torch.Tensor | None, sink: torch.Tensor | None) -> torch.Tensor:
        if reach not in self.contexts:
            raise InputError(f"layer {layer} sees {reach}, which layer_types do not have; expected one "
                             "of " + ", ".join(map(str, self.contexts)))
        return ring_attention(query, key, value, self.contexts[reach], gain=gain, sink=sink,
                              reduce_parameters=False)
