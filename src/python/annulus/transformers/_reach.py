"""Which keys the layers of a model see."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from annulus.errors import InputError


@dataclasses.dataclass(frozen=True, order=True)
class Reach:
    """What a query of a causal layer sees: all before it, or that in a window or in its chunk."""

    window: int | None = None
    """keys, the query's own among them"""
    chunk: int | None = None
    """a document is cut into chunks of so many tokens, which do not see each other"""

    @property
    def mask(self) -> str:
        """As of annulus.Problem."""
        return "causal" if self.window is None else f"window:{self.window - 1}"

    def documents(self, documents: Sequence[int]) -> tuple[int, ...]:
        """What does not see each other, cumulated lengths, of packed documents."""
        if self.chunk is None:
            return tuple(documents)
        cuts = [range(begin, end, self.chunk) for begin, end in itertools.pairwise(documents)]
        return (*itertools.chain.from_iterable(cut or [begin] for cut, begin in zip(cuts, documents)),
                documents[-1])


def reaches_of(config: Any) -> list[Reach]:
    """Those of the layers of a model with this configuration, each once."""
    types = getattr(config, "layer_types", None)
    if types is None:
        windowed = getattr(config, "sliding_window", None) is not None
        types = ["sliding_attention" if windowed else "full_attention"]
    return sorted({_reach_of(kind, config) for kind in types}, key=str)


def _reach_of(kind: str, config: Any) -> Reach:
    if kind == "full_attention":
        return Reach()
    if kind == "sliding_attention":
        return Reach(window=config.sliding_window)
    if kind == "chunked_attention":
        return Reach(chunk=config.attention_chunk_size)
    raise InputError(f"layer_types: {kind}; expected full_attention, sliding_attention or "
                     "chunked_attention")
