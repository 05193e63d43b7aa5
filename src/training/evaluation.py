"""What a model does at lengths that it did not learn from."""

import torch
from torch.nn.functional import cross_entropy

import annulus.torch
from text import plant, sample

BINS = 16                            # of positions, equally many each
DEPTHS = [0.02, 0.25, 0.5, 0.75, 0.98]


def evaluate(model, config, scale, text, comm):
    """By name, arrays over evaluate_lengths first:

    loss      (lengths, BINS), nats a byte, of the bytes whose positions are in this part of the sequence
    needle    (lengths, depths), the part of the second halves of needles that is found again
    needle_loss   likewise, nats a byte
    entropy   (lengths, layers, heads), nats, the mean over the last eighth of the queries
    """
    each = [_at_length(model, config, scale, text, comm, factor) for factor in config.evaluate_lengths]
    return {name: torch.stack([one[name] for one in each]) for name in each[0]}


@torch.no_grad()
def _at_length(model, config, scale, text, comm, factor):
    length = factor * config.length
    context = annulus.torch.Context(length, comm=comm, logit_scale=scale.logit_scale)
    longest = max(config.evaluate_lengths) * config.length
    results = []
    for at in range(config.evaluate_sequences):
        # The same bytes at the end, with more or less before them.
        tokens = sample(text, longest + 1, at)[-length - 1:]
        losses, _ = _predict(model, tokens, context)
        found = {"loss": losses[:length - length % BINS].view(BINS, -1).mean(1)}
        where = plant(tokens, DEPTHS, at)
        entropies = []
        losses, right = _predict(model, tokens, context, entropies)
        halves = [where[depth] - 1 for depth in DEPTHS]  # the position that predicts a byte
        found["needle"] = torch.stack([right[half].mean() for half in halves])
        found["needle_loss"] = torch.stack([losses[half].mean() for half in halves])
        late = [context.unshard(entropy, 0)[-max(1, length // 8):].mean(0) for entropy in entropies]
        found["entropy"] = torch.stack(late)
        results.append(found)
    return {name: torch.stack([found[name] for found in results]).mean(0) for name in results[0]}


def _predict(model, tokens, context, entropies=None):
    """The loss of each byte, and whether it is the likeliest, (length) each, on all ranks."""
    logits = model(context.shard(tokens[None, :-1], 1), context, entropies)[0]
    labels = context.shard(tokens[1:], 0)
    losses = cross_entropy(logits, labels, reduction="none")
    right = (logits.argmax(1) == labels).float()
    return context.unshard(losses, 0), context.unshard(right, 0)
