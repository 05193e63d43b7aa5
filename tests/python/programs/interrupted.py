"""A pass that would take minutes, and how it ended."""

import numpy

import annulus

comm = annulus.comm.self()
attention = annulus.RingAttention(annulus.make_plan(annulus.Problem(400_000), ranks=comm), comm)
x = numpy.ones((400_000, 1, 64), numpy.float32)
print("begins", flush=True)
try:
    attention.forward(x, x, x)
except KeyboardInterrupt:
    print("interrupted")
