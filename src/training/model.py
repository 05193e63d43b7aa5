"""A small decoder without positions: it knows how far tokens are apart by the causal mask alone, so that
at greater lengths nothing differs but what the logit scale says."""

import torch
from torch import nn

import annulus.torch
from text import CLASSES


class Layer(nn.Module):
    def __init__(self, width, heads, gain):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.RMSNorm(width) for _ in range(2))
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.back = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.gain = nn.Parameter(torch.full((heads,), gain))

    def forward(self, x, context, entropies):
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2)
                   for part in self.project(self.norms[0](x)).chunk(3, dim=2))
        if entropies is not None:
            entropies.append(self._entropy(q, k, v, context))
        out = annulus.torch.ring_attention(q, k, v, context, gain=self.gain, reduce_parameters=False)
        x = x + self.back(out.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))

    def _entropy(self, q, k, v, context):
        """(rows, heads), of the first sequence."""
        engine = context.engine(self.heads, self.heads, q.shape[3], v.shape[3], q.dtype, q.device.type)
        rows = [x[0].detach().transpose(0, 1) for x in (q, k, v)]
        return engine.forward(*rows, statistics=["entropy"], gain=self.gain).statistics["entropy"]


class Decoder(nn.Module):
    """Bytes to the logits of the next ones."""

    def __init__(self, layers, width, heads, gain):
        super().__init__()
        self.embed = nn.Embedding(CLASSES, width)
        self.layers = nn.ModuleList(Layer(width, heads, gain) for _ in range(layers))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, CLASSES, bias=False)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02 if parameter is self.embed.weight else
                                parameter.shape[1] ** -0.5)
        for layer in self.layers:
            for last in (layer.back, layer.mlp[2]):
                nn.init.zeros_(last.weight)

    def forward(self, tokens, context, entropies=None):
        """tokens (sequences, rows of this rank); logits (sequences, rows, CLASSES)."""
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, context, entropies)
        return self.head(self.norm(x))
