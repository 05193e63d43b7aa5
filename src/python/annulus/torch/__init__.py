"""Attention over a sequence that is spread over ranks, for models of PyTorch.

    import annulus.torch

    context = annulus.torch.Context(length=n, mask="causal", logit_scale="ssmax:s=0.4")
    x = context.shard(tokens, dim=1)                    # this rank's tokens, in its order
    ...
    out = annulus.torch.ring_attention(q, k, v, context)        # (batch, heads, rows, d)
    loss = annulus.torch.cross_entropy(logits, context.shard(labels, dim=1), context)

Whatever is the same on all ranks, a whole sequence, a loss, a gain, has the same gradient on all of them;
what is sharded has a sharded gradient. The gradients of a model's other parameters are each rank's
part, over its own tokens: their sum over ranks is the gradient of the loss.
"""

from annulus.torch.attention import RingAttention, ring_attention
from annulus.torch.context import Context
from annulus.torch.loss import cross_entropy

__all__ = ["Context", "RingAttention", "cross_entropy", "ring_attention"]
