"""Prints a loss and the sums of gradients of a small model, whatever joins its ranks.

    loss.py [mpi]     ranks of mpi4py; else of torchrun, or one alone
"""

import sys

import torch
import torch.distributed as dist

import annulus.torch

comm = None
if "mpi" in sys.argv:
    comm = annulus.comm.mpi()
elif dist.is_torchelastic_launched():
    dist.init_process_group("gloo")
n, heads, d, classes = 211, 4, 8, 13
torch.manual_seed(1)
tokens = torch.randint(classes, (2, n + 1))
embed = torch.nn.Embedding(classes, heads * d)
project = torch.nn.Linear(heads * d, 3 * heads * d)
head = torch.nn.Linear(heads * d, classes)

context = annulus.torch.Context(n, comm=comm, logit_scale="ssmax:s=0.4")
attention = annulus.torch.RingAttention(context, heads, gain=True, sink=True)
x = embed(context.shard(tokens[:, :-1], dim=1))
q, k, v = (part.unflatten(2, (heads, d)).transpose(1, 2) for part in project(x).chunk(3, dim=2))
out = attention(q, k, v).transpose(1, 2).flatten(2)
loss = annulus.torch.cross_entropy(head(out), context.shard(tokens[:, 1:], dim=1), context)
loss.backward()

# The gradients of parameters that see tokens are each rank's part, to be summed.
total = annulus.torch.loss.sum_over_ranks(project.weight.grad.square().sum() * 0
                                          + project.weight.grad.sum(), context.number)
if context.comm.rank == 0:
    print(*(f"{float(value):.5f}" for value in
            (loss, total, attention.gain.grad.sum(), attention.sink.grad.sum())))
if dist.is_initialized():
    dist.destroy_process_group()
