"""One model: its steps, and checkpoints from which they go on as if nothing had happened."""

import math
import os
import time

import torch

import annulus.torch
from model import Decoder
from text import plant, sample


def save(state, path):
    """As a whole or not at all."""
    torch.save(state, f"{path}.new")
    os.replace(f"{path}.new", path)


def sum_gradients(model, comm):
    """Each rank has the part of its tokens."""
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    whole = torch.cat([gradient.flatten() for gradient in gradients])
    comm.sum(whole.numpy())
    for gradient, part in zip(gradients, whole.split([each.numel() for each in gradients])):
        gradient.copy_(part.view_as(gradient))


def batch(config, text, seed, step):
    """(sequences, length + 1) int64, whatever came before."""
    first = (seed * 1_000_003 + step) * config.sequences
    rows = [sample(text, config.length + 1, first + at) for at in range(config.sequences)]
    for at, row in enumerate(rows):
        generator = torch.Generator().manual_seed(first + at)
        plant(row, torch.rand(config.needles, generator=generator).tolist(), first + at)
    return torch.stack(rows)


def rate(config, step):
    warm = max(1, config.steps // 10)
    falling = 0.1 + 0.45 * (1 + math.cos(math.pi * max(0, step - warm) / max(1, config.steps - warm)))
    return config.learning_rate * min((step + 1) / warm, falling)


def train(config, scale, seed, text, comm, checkpoint, progress):
    """The trained model, and the loss of each step. `progress(step, loss, tokens)` is called after each."""
    torch.manual_seed(seed)
    model = Decoder(config.layers, config.width, config.heads, scale.gain)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.95),
                                  weight_decay=0.01)
    losses = []
    if os.path.exists(checkpoint):
        losses, weights, state = torch.load(checkpoint)
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)
    comm.barrier()  # before anybody writes the next one
    context = annulus.torch.Context(config.length, comm=comm, logit_scale=scale.logit_scale)
    saved = time.monotonic()
    for step in range(len(losses), config.steps):
        tokens = batch(config, text, seed, step)
        logits = model(context.shard(tokens[:, :-1], 1), context)
        loss = annulus.torch.cross_entropy(logits, context.shard(tokens[:, 1:], 1), context)
        optimizer.zero_grad()
        loss.backward()
        sum_gradients(model, comm)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = rate(config, step)
        optimizer.step()
        losses.append(float(loss.detach()))
        if comm.rank == 0 and time.monotonic() - saved >= config.checkpoint_seconds:
            save((losses, model.state_dict(), optimizer.state_dict()), checkpoint)
            saved = time.monotonic()
        progress(step, losses[-1], tokens.numel())
    return model, losses
