"""Whether ranks were given the same."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy
import torch

from annulus import _core
from annulus.errors import InputError


def _digest(given: Any) -> bytes:
    digest = hashlib.blake2b(digest_size=8)
    if isinstance(given, torch.Tensor):
        digest.update(repr((tuple(given.shape), given.dtype)).encode())
        if not given.is_floating_point():  # embeddings may differ by rounding
            digest.update(given.detach().cpu().contiguous().numpy().tobytes())
    else:
        digest.update(repr(given).encode())
    return digest.digest()


def refuse_differences(comm: _core.Communicator, inputs: Mapping[str, Any]) -> None:
    """Collective. Raises InputError, on all ranks, where one has others: which would go unnoticed."""
    if comm.size == 1:
        return
    mine = b"".join(_digest(given) for given in inputs.values())
    memory = [numpy.zeros(len(mine), dtype=numpy.uint8) for _ in range(comm.size)]
    memory[comm.rank][:] = numpy.frombuffer(mine, dtype=numpy.uint8)
    comm.exchange_all(memory)
    for at, name in enumerate(inputs):
        own = slice(8 * at, 8 * at + 8)
        if any((others[own] != memory[0][own]).any() for others in memory):
            raise InputError(f"{name}: ranks were given others; expected the same whole batch on all, and "
                             "the same seed where tokens are drawn")
