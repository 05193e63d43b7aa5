"""Who holds which tokens of packed documents, for layers of which each sees others."""

from collections.abc import Sequence

import torch

from annulus.errors import InputError
from annulus.torch import Context
from annulus.transformers._options import Options
from annulus.transformers._reach import Reach


def contexts_of(documents: Sequence[int], reaches: Sequence[Reach],
                options: Options) -> dict[Reach, Context]:
    """Collective. A context for each reach, in all of which ranks hold the same tokens.

    Some shardings depend on what a document is and what queries see: where `auto` chose one of these
    and there are several, it is `striped`, which depends on neither and is even for all of them.
    """
    if options.logit_scale != "none" and any(
            reach.documents(documents) != tuple(documents) for reach in reaches):
        raise InputError("logit_scale: layers cut documents into chunks, and in a chunk no query knows "
                         "where it stands in the whole; expected 'none', or documents of one chunk")
    contexts = _contexts(documents, reaches, options, options.sharding)
    if not _agree(contexts):
        if options.sharding != "auto":
            raise InputError(f"sharding: with {options.sharding} layers with other masks hold other "
                             "tokens; expected auto, striped or contiguous")
        contexts = _contexts(documents, reaches, options, "striped")
    return contexts


def _contexts(documents: Sequence[int], reaches: Sequence[Reach], options: Options,
              sharding: str) -> dict[Reach, Context]:
    contexts: dict[Reach, Context] = {}
    by_problem: dict[tuple[str, tuple[int, ...]], Context] = {}
    for reach in reaches:
        problem = reach.mask, reach.documents(documents)
        if problem not in by_problem:
            by_problem[problem] = context = Context(
                documents[-1], problem[1], options.comm, problem[0], options.logit_scale, sharding,
                options.schedule, backend=options.backend, threads=options.threads)
            sharding = context.sharding
        contexts[reach] = by_problem[problem]
    return contexts


def _agree(contexts: dict[Reach, Context]) -> bool:
    first, *others = contexts.values()
    return all(torch.equal(other.rows_of(rank), first.rows_of(rank))
               for other in others for rank in range(first.ranks))
