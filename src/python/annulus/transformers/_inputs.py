"""What a model is given: all of it known, and this rank's part of it."""

from collections.abc import Iterable
from typing import Any

import torch

from annulus.errors import InputError
from annulus.transformers._calls import Call
from annulus.transformers._tokens import Tokens

_OF_TOKENS = ("input_ids", "inputs_embeds", "labels")
_AS_THEY_ARE = ("output_hidden_states", "num_items_in_batch")
_KNOWN = {*_OF_TOKENS, *_AS_THEY_ARE, "attention_mask", "position_ids", "use_cache", "cache",
          "logits_to_keep", "return_dict"}


def known_inputs(given: Iterable[tuple[str, Any]], config: Any) -> dict[str, Any]:
    """By name, without what is None. Raises InputError for what would be dropped."""
    inputs = {name: value for name, value in given if value is not None}
    for name, value in inputs.items():
        if name not in _KNOWN and value is not False:
            raise InputError(f"{name}: a model whose tokens are spread over ranks does not take it; expected "
                             f"none but {', '.join(sorted(_KNOWN))}")
    if inputs.get("return_dict") is False:
        raise InputError("return_dict=False: expected outputs by name")
    for name in ("output_attentions", "output_router_logits"):
        if getattr(config, name, False) and inputs.get(name) is not False:
            raise InputError(f"{name}: no rank has them for all tokens; expected False")
    return inputs


def shape_of(inputs: dict[str, Any]) -> tuple[int, int]:
    """Sequences and columns of a batch."""
    tokens = inputs.get("input_ids", inputs.get("inputs_embeds"))
    if tokens is None or tokens.ndim < 2:
        raise InputError("input_ids: expected (sequences, columns), or inputs_embeds")
    return int(tokens.shape[0]), int(tokens.shape[1])


def next_labels(labels: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    """What each token is to predict, as Transformers has it: the label of the next column."""
    if labels.shape != tokens.shape:
        raise InputError(f"labels are {tuple(labels.shape)}; expected {tokens.shape}")
    following = torch.nn.functional.pad(labels[:, 1:], (0, 1), value=-100)
    padding = torch.ones(following.numel(), dtype=torch.bool)
    padding[tokens.places] = False
    if (following.flatten().cpu()[padding] != -100).any():
        raise InputError("labels: padding predicts a token; expected -100 where the column before is padding")
    return following


def own_inputs(inputs: dict[str, Any], call: Call) -> dict[str, Any]:
    """What this rank's model is given of a batch: one row of tokens."""
    own: dict[str, Any] = {name: inputs[name] for name in _AS_THEY_ARE if name in inputs}
    for name in _OF_TOKENS:
        if name in inputs:
            own[name] = inputs[name].flatten(0, 1)[call.places.to(inputs[name].device)][None]
    device = next(own[name].device for name in _OF_TOKENS if name in own)
    if "labels" in own:
        own["labels"][:, call.count:] = -100
    own["position_ids"] = call.position_ids.to(device)
    # No padding. It says besides that positions which start again are no business of masks.
    own["attention_mask"] = torch.ones_like(own["position_ids"])
    return {**own, **call.more, "annulus": call}
