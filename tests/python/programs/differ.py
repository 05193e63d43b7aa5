"""Ranks ask for another mask, and then give arrays of another shape; each prints what it is told.

    differ.py mpi|torch
"""

import sys

import numpy

import annulus

if sys.argv[1] == "mpi":
    comm = annulus.comm.mpi()
else:
    import torch.distributed as dist
    dist.init_process_group("gloo")
    comm = annulus.comm.torch()
try:
    mask = "causal" if comm.rank == 0 else "full"
    annulus.RingAttention(annulus.make_plan(annulus.Problem(100, mask=mask), ranks=comm), comm)
except annulus.InputError as error:
    print(f"{error}\n", end="", flush=True)  # in one piece
attention = annulus.RingAttention(annulus.make_plan(annulus.Problem(100), ranks=comm), comm)
x = numpy.ones((50, 1, 64), numpy.float32)
try:
    attention.forward(x[comm.rank:], x, x)
except annulus.InputError as error:
    print(f"{error}\n", end="", flush=True)  # in one piece
assert (attention.forward(x, x, x).out == 1).all()
