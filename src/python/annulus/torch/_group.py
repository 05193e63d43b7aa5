"""Process groups of PyTorch as communicators."""

import weakref
from typing import Any

import torch
import torch.distributed as dist

from annulus import _core
from annulus.errors import InputError

_known: "weakref.WeakKeyDictionary[dist.ProcessGroup, _core.Communicator]" = (
    weakref.WeakKeyDictionary())

_NUMBERS = 1 << 31  # tags are 32 bits; numbers go round


class _Peers:
    """Messages over a process group, as _core.PeerCommunicator asks for them."""

    def __init__(self, group: dist.ProcessGroup) -> None:
        self._group = weakref.ref(group)

    def send(self, rank: int, memory: memoryview, number: int) -> Any:
        return self._there().send([_bytes(memory)], rank, number % _NUMBERS)

    def receive(self, rank: int, memory: memoryview, number: int) -> Any:
        return self._there().recv([_bytes(memory)], rank, number % _NUMBERS)

    def _there(self) -> dist.ProcessGroup:
        group = self._group()
        if group is None:
            raise RuntimeError("the process group is destroyed")
        return group


def _bytes(memory: memoryview) -> torch.Tensor:
    return torch.frombuffer(memory, dtype=torch.uint8)


def communicator(group: dist.ProcessGroup | None) -> _core.Communicator:
    """See annulus.comm.torch."""
    if group is None:
        if not dist.is_initialized():
            raise InputError("group: torch.distributed is not initialized; expected a process group")
        group = dist.group.WORLD
    if not isinstance(group, dist.ProcessGroup):
        raise InputError(f"group is a {type(group).__name__}; expected a ProcessGroup of torch "
                         "that this process is in")
    known = _known.get(group)
    if known is None:
        backend = _cpu_backend(group)
        known = _core.PeerCommunicator(_Peers(group), group.rank(), group.size(), "torch",
                                       f"{backend} of PyTorch {torch.__version__}")
        _known[group] = known
    return known


def _cpu_backend(group: dist.ProcessGroup) -> str:
    """Its backend for memory of the CPU."""
    config = dist.get_backend_config(group)  # "cpu:gloo,cuda:nccl"
    backends = dict(part.split(":") for part in str(config).split(","))
    if "cpu" not in backends or backends["cpu"] == "nccl":
        raise InputError(f"group has the backends {config}; expected one that moves memory of the "
                         "CPU, such as gloo or cpu:gloo,cuda:nccl")
    return backends["cpu"]
