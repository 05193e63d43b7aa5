"""Caches of generate() whose keys and values are spread over ranks."""

from collections.abc import Callable
from typing import Any

import numpy
import torch
from transformers.cache_utils import CacheLayerMixin, DynamicCache

from annulus import _core
from annulus.cache import Cache
from annulus.errors import InputError
from annulus.torch.context import PRECISIONS
from annulus.transformers._calls import or_first
from annulus.transformers._families import PositionScale
from annulus.transformers._options import Options
from annulus.transformers._reach import Reach
from annulus.transformers._tokens import Tokens


class Spread:
    """The sequences of a batch that grow, and their keys and values, layer by layer.

    Tokens go to ranks in turns, alike in all layers; `turns` is a cache of nothing that says who is
    given which.
    """

    def __init__(self, sequences: int, length: int | None, options: Options) -> None:
        self.columns = 0
        self.sequences = sequences
        self.options = options
        self._documents = [at * (length or 0) for at in range(sequences + 1)]
        self._layers: dict[int, Cache] = {}
        self.turns = Cache(self._problem(1, 1, 1, 1, Reach(), "none"), options.comm)

    def layer(self, number: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
              reach: Reach) -> Cache:
        """Collective the first time. The cache of a layer."""
        if number not in self._layers:
            problem = self._problem(query.shape[1], key.shape[1], key.shape[3], value.shape[3], reach,
                                    self.options.logit_scale)
            self._layers[number] = Cache(problem, self.options.comm,
                                         precision=PRECISIONS[query.dtype], **self.options.engine)
        return self._layers[number]

    def _problem(self, heads: int, key_heads: int, head_dim: int, value_dim: int, reach: Reach,
                 logit_scale: str) -> _core.Problem:
        return _core.Problem(documents=self._documents, query_heads=heads, key_heads=key_heads,
                             head_dim=head_dim, value_dim=value_dim, mask=reach.mask,
                             logit_scale=logit_scale)


class SpreadLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """What stands in a cache of Transformers for a layer. Keys and values pass through it: they are
    kept where they attend."""

    is_sliding = False

    def __init__(self, spread: Spread) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.spread = spread

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        pass

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any,
               **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.spread.columns + query_length, 0

    def get_seq_length(self) -> int:
        return self.spread.columns

    def get_max_length(self) -> int:
        return -1

    def _refuse(self, *_: Any, **__: Any) -> None:
        raise InputError("cache: what is spread over ranks only grows; expected generate() by sampling "
                         "or greedily, without beams, assistants or offloading")

    offload = prefetch = reset = reorder_cache = crop = _refuse
    batch_repeat_interleave = batch_select_indices = _refuse


def spread_of(cache: Any, sequences: int, layers: int, length: int | None,
              options: Options) -> Spread:
    """What a cache of Transformers has in it, which is put there the first time."""
    if not isinstance(cache, DynamicCache) or cache.offloading:
        raise InputError(f"cache is a {type(cache).__name__}; expected a DynamicCache without offloading, "
                         "which is generate()'s own")
    if cache.layers and isinstance(cache.layers[0], SpreadLayer):
        spread = cache.layers[0].spread
        if spread.sequences != sequences:
            raise InputError(f"cache has {spread.sequences} sequences and the batch {sequences}; expected "
                             "the same")
        return spread
    if cache.get_seq_length() > 0:
        raise InputError("cache has tokens from outside annulus.transformers.sharded; expected an empty "
                         "one")
    spread = Spread(sequences, length, options)
    cache.layers[:] = [SpreadLayer(spread) for _ in range(layers)]
    return spread


class CachedCall:
    """A call without gradients that goes on with sequences: see Call."""

    def __init__(self, tokens: Tokens, cache: DynamicCache, spread: Spread,
                 scale_of: Callable[[Any], PositionScale | None], logits_to_keep: int | None) -> None:
        self.replaces_scaling = spread.options.replaces_scaling
        self.scale_of = scale_of
        self._tokens, self._spread = tokens, spread
        self._counts = tokens.counts
        if len(self._counts) != spread.sequences:
            raise InputError("position_ids: packed sequences with a cache; expected one sequence in each "
                             "row of the batch")
        begins = torch.tensor(tokens.documents[:-1]) - torch.tensor(spread.turns.lengths)
        sequence, position = torch.from_numpy(spread.turns.next(self._counts)).unbind(1)
        rows = begins[sequence] + position
        self.count = len(rows)
        self.positions = position[None]
        self.places = tokens.places[or_first(rows)]
        self.position_ids = tokens.position_ids[or_first(rows)][None]
        columns = tokens.shape[1]
        self._kept = min(logits_to_keep or columns, columns)
        column = self.places[:self.count] % columns - (columns - self._kept)
        kept = (column >= 0).nonzero().squeeze(1)
        self._at = self.places[kept] // columns, column[kept]
        self.more = {"use_cache": True, "cache": cache}
        if logits_to_keep is not None:
            self.more["logits_to_keep"] = kept

    def attend(self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
               reach: Reach, gain: torch.Tensor | None, sink: torch.Tensor | None) -> torch.Tensor:
        """As of Call."""
        if torch.is_grad_enabled() and query.requires_grad:
            raise InputError("cache: attention over it has no gradients; expected torch.no_grad()")
        if reach.chunk is not None:
            longest = max(past + new for past, new in zip(self._spread.turns.lengths, self._counts))
            if longest > reach.chunk:
                raise InputError(f"attention_chunk_size is {reach.chunk} and a sequence in the cache has "
                                 f"{longest} tokens; expected at most one chunk")
            reach = Reach()
        cache = self._spread.layer(layer, query, key, value, reach)
        cache.next(self._counts)
        q, k, v = (x.detach()[0].transpose(0, 1) for x in (query, key, value))
        cache.append(k, v)
        out: torch.Tensor = cache.attend(q, gain=gain, sink=sink).out
        return out.to(query.dtype).transpose(0, 1)[None]

    def finish(self) -> None:
        """Its tokens are in the cache."""
        nothing = numpy.zeros((self.count, 1, 1), dtype=numpy.float32)
        self._spread.turns.append(nothing, nothing)
        self._spread.columns += self._tokens.shape[1]

    def gathered(self, logits: torch.Tensor) -> torch.Tensor:
        """Collective. (sequences, columns kept, classes), the same bits on all ranks, of this rank's
        logits (1, rows kept, classes); 0 where there is padding."""
        shape = (self._tokens.shape[0], self._kept, logits.shape[2])
        whole = torch.zeros(shape, dtype=torch.float64)
        whole[self._at] = logits[0].to("cpu", torch.float64)
        self._spread.options.comm.sum(whole.view(-1).numpy())
        return whole.to(logits.device, logits.dtype)
