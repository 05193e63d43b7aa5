"""Rank 1 prints the time and leaves, while rank 0 waits for it in a pass.

    fail.py mpi|torch raise|exit|exit_with_words|vanish|kill
"""

import os
import signal
import sys
import time

import numpy

import annulus

transport, how = sys.argv[1:]
if transport == "mpi":
    comm = annulus.comm.mpi()
else:
    import torch.distributed as dist
    dist.init_process_group("gloo")
    comm = annulus.comm.torch()
plan = annulus.make_plan(annulus.Problem(100), ranks=comm)
attention = annulus.RingAttention(plan, comm)
if comm.rank == 1:
    print(time.time(), flush=True)
    if how == "exit":
        try:
            sys.exit(4)  # caught, it means nothing
        except SystemExit as error:
            assert error.code == 4
        sys.exit(3)
    if how == "exit_with_words":
        sys.exit("the cause of it all")
    if how == "vanish":
        os._exit(3)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise RuntimeError("the cause of it all")
x = numpy.ones((50, 1, 64), numpy.float32)
attention.forward(x, x, x)
