"""The loss of models, over the tokens of all ranks."""

from typing import Any

import torch

from annulus.torch import cross_entropy
from annulus.torch.loss import sum_over_ranks


def causal_loss(logits: torch.Tensor, labels: torch.Tensor, vocab_size: int, annulus: Any, *,
                num_items_in_batch: torch.Tensor | int | None = None, ignore_index: int = -100,
                **_: Any) -> torch.Tensor:
    """Collective. As Transformers calls it: of this rank's tokens, with the labels that they are to
    predict. The mean over the tokens of all ranks, or their sum over num_items_in_batch."""
    context = annulus.context
    logits, labels = logits.reshape(-1, vocab_size), labels.reshape(-1)
    if num_items_in_batch is None:
        return cross_entropy(logits, labels, context, ignore_index=ignore_index)
    if logits.dtype in (torch.bfloat16, torch.float16):
        logits = logits.float()
    own = torch.nn.functional.cross_entropy(logits, labels, ignore_index=ignore_index,
                                            reduction="sum")
    whole: torch.Tensor = sum_over_ranks(own, context.number)
    return whole / num_items_in_batch
