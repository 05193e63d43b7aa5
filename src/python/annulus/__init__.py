"""Exact attention over one sequence that is spread across many ranks.

    import annulus, numpy

    problem = annulus.Problem(4096, query_heads=8, key_heads=2, head_dim=64, mask="causal",
                              logit_scale="critical:gamma=2")
    comm = annulus.comm.self()
    plan = annulus.make_plan(problem, ranks=comm)
    attention = annulus.RingAttention(plan, comm)
    result = attention.forward(q, k, v, lse=True, statistics=["entropy"])

Arrays are those of any library that speaks DLPack, used in place. annulus.torch, which has to be
imported, is the same for models of PyTorch.
"""

from annulus import _nccl, comm  # noqa: F401  in this order
from annulus._core import Plan, Problem, make_plan
from annulus._core import version as __version__
from annulus.attention import Forward, Gradients, RingAttention
from annulus.build import backends, features, git_commit, statistics
from annulus.cache import Cache
from annulus.capture import capture
from annulus.errors import CommunicationError, Error, InputError
from annulus.results import open
from annulus.studies import run_study

__all__ = [
    "Cache",
    "CommunicationError",
    "Error",
    "Forward",
    "Gradients",
    "InputError",
    "Plan",
    "Problem",
    "RingAttention",
    "__version__",
    "backends",
    "capture",
    "comm",
    "features",
    "git_commit",
    "make_plan",
    "open",
    "run_study",
    "statistics",
]
