"""Which models are known to compute the same when their tokens are spread over ranks.

Whatever a model does with a token must need that token alone, or go through its attention. Each entry is
a model_type of Transformers, and is tested against the model's own eager attention.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from annulus.errors import InputError

PositionScale = Callable[[torch.Tensor], torch.Tensor]


@dataclasses.dataclass(frozen=True)
class Family:
    """What is particular to the models of a kind."""

    name: str
    """as people say it"""
    local_scale: tuple[str, Callable[[Any], PositionScale | None]] | None = None
    """the attribute that makes an attention module scale its queries by where they lie in what it is
    given, and the scale of queries by their position in their document that stands for it"""


def _llama4_temperature(attention: Any) -> PositionScale | None:
    if not attention.attn_temperature_tuning or attention.use_rope:
        return None
    floor, strength = attention.floor_scale, attention.attn_scale
    return lambda position: torch.log1p(torch.floor((position.float() + 1) / floor)) * strength + 1


FAMILIES = {
    "llama": Family("Llama"),
    "qwen2": Family("Qwen2"),
    "qwen3": Family("Qwen3"),
    "gpt_oss": Family("GPT-OSS"),
    "llama4_text": Family("Llama 4", ("attn_temperature_tuning", _llama4_temperature)),
    "ministral3": Family("Ministral 3"),
    "gemma3_text": Family("Gemma 3"),
}
"""By model_type."""


def family_of(model: Any) -> Family:
    """That of a model; raises InputError for one that is none of these."""
    from transformers import PreTrainedModel
    if not isinstance(model, PreTrainedModel):
        raise InputError(f"model is a {type(model).__name__}; expected a PreTrainedModel of "
                         "Transformers itself, without a wrapper")
    kind = model.config.model_type
    if kind not in FAMILIES:
        raise InputError(f"model_type is {kind}; expected one of {', '.join(FAMILIES)}")
    if model is not model.base_model and not type(model).__name__.endswith("ForCausalLM"):
        raise InputError(f"model is a {type(model).__name__}, whose head sees several tokens; expected "
                         "a base model or one ForCausalLM")
    return FAMILIES[kind]


def attention_modules(model: nn.Module) -> list[Any]:
    """Those of the layers of a decoder, in their order."""
    return [module for module in model.modules()
            if hasattr(module, "layer_idx") and hasattr(module, "num_key_value_groups")]
