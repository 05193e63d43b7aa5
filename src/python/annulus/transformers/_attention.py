"""The attention function of Transformers, and the masks that go with it."""

import math
from typing import Any

import torch
from torch import nn

from annulus.errors import InputError
from annulus.transformers._gains import NAME as GAIN
from annulus.transformers._reach import Reach

# What models pass on to every layer, which says nothing of attention.
_IRRELEVANT = {"position_ids", "use_cache", "output_hidden_states", "num_items_in_batch", "is_causal"}


def register() -> None:
    """Makes attn_implementation="annulus" known."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface
    AttentionInterface.register("annulus", attention)
    AttentionMaskInterface.register("annulus", _local_size)


def _local_size(*_: Any, allow_is_causal_skip: bool = True, use_vmap: bool = False,
                local_size: int | None = None, **__: Any) -> int | None:
    """In place of a mask: the length of a layer's window or chunk, which is all that a causal model says
    of it. Who sees whom beyond that, packing and padding, is settled by the inputs."""
    if use_vmap or not allow_is_causal_skip:
        raise InputError("attention_mask: the model makes one of its own, which is not causal; expected "
                         "windows or chunks of causal attention")
    return local_size


def attention(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
              attention_mask: int | None, *, scaling: float | None = None, dropout: float = 0.0,
              sliding_window: int | None = None, s_aux: torch.Tensor | None = None,
              softcap: float | None = None, annulus: Any = None,
              **others: Any) -> tuple[torch.Tensor, None]:
    """Collective. As Transformers calls it: query (1, H, rows, d), key and value (1, G, rows, d) of this
    rank's tokens. Returns (1, rows, H, d) and no weights."""
    if annulus is None:
        raise InputError('attn_implementation="annulus" outside annulus.transformers.sharded; expected '
                         "the model to be called inside")
    unknown = [name for name, given in others.items()
               if given is not None and given is not False and name not in _IRRELEVANT]
    for name, given in (("dropout", dropout), ("softcap", softcap), *((name, True) for name in unknown)):
        if given:
            raise InputError(f"{name}: attention does not have it; expected a model without")
    reach = _reach_of(module, attention_mask, sliding_window)
    idle = query.shape[2] - annulus.count
    query, key, value = (x[:, :, :annulus.count] for x in (query, key, value))
    scale = annulus.scale_of(module)
    if scale is not None:
        query = (query * scale(annulus.positions.to(query.device))[:, None, :, None]).to(query.dtype)
    out = annulus.attend(module.layer_idx, query, key, value, reach,
                         _gain(module, query, scaling, annulus.replaces_scaling), s_aux)
    return nn.functional.pad(out, (0, 0, 0, idle)).transpose(1, 2), None


def _reach_of(module: Any, local_size: int | None, sliding_window: int | None) -> Reach:
    types = getattr(module.config, "layer_types", None)
    if types is not None and types[module.layer_idx] == "chunked_attention":
        return Reach(chunk=local_size)
    if sliding_window != local_size:
        raise InputError(f"sliding_window of layer {module.layer_idx} is {sliding_window}, and its mask "
                         f"has {local_size}; expected the same")
    return Reach(window=local_size)


def _gain(module: Any, query: torch.Tensor, scaling: float | None,
          replaced: bool) -> torch.Tensor | None:
    """(H), what multiplies the logits beside 1/√d and a logit scale: learned gains, and the model's own
    scaling, unless the logit scale replaces it."""
    own: torch.Tensor | None = getattr(module, GAIN, None)
    factor = 1.0 if replaced or scaling is None else scaling * math.sqrt(query.shape[-1])
    if math.isclose(factor, 1, rel_tol=1e-14):
        return own
    if own is None:
        return torch.full((query.shape[1],), factor, dtype=torch.float64)
    return own.double() * factor
