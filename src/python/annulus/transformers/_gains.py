"""Gains that a model learns: the s of SSMax, the gamma of the critical scale."""

from typing import Any

import torch
from torch import nn

from annulus.errors import InputError
from annulus.transformers._families import attention_modules, family_of

NAME = "annulus_gain"


def add_gains(model: Any, start: float = 1.0) -> list[nn.Parameter]:
    """Gives each head of each layer a gain, which multiplies its logits, and returns them by layer, (H)
    fp32 each. They are parameters of the model, as annulus_gain of its attention modules: optimizers that
    are made after this, and checkpoints, have them. The model then computes inside sharded() alone.

    Raises InputError where the model is none of FAMILIES, and where it has gains.
    """
    family_of(model)
    modules = attention_modules(model)
    if any(hasattr(module, NAME) for module in modules):
        raise InputError("model: it has gains already; expected one without")
    gains = []
    for module in modules:
        weight = next(module.parameters())
        gain = nn.Parameter(torch.full((module.config.num_attention_heads,), float(start),
                                       device=weight.device))
        module.register_parameter(NAME, gain)
        module.register_forward_pre_hook(_refuse_others)
        gains.append(gain)
    return gains


def _refuse_others(module: Any, _: Any) -> None:
    if module.config._attn_implementation != "annulus":
        raise InputError(f"{NAME}: attn_implementation {module.config._attn_implementation} has no "
                         "gains; expected to be inside annulus.transformers.sharded")
