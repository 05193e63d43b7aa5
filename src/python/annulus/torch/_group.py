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
    try:
        dist.get_process_group_ranks(group)
    except KeyError:
        raise InputError("group is destroyed; expected a process group that is in use") from None
    known = _known.get(group)
    if known is None:
        known = _made(group)
        _known[group] = known
    return known


def _made(group: dist.ProcessGroup) -> _core.Communicator:
    config = str(dist.get_backend_config(group))  # "cpu:gloo,cuda:nccl"
    backends = dict(part.split(":") for part in config.split(","))
    if "cpu" in backends:
        return _core.PeerCommunicator(_Peers(group), group.rank(), group.size(), "torch",
                                      f"{backends['cpu']} of PyTorch {torch.__version__}")
    if backends.get("cuda") == "nccl":
        return _gpus(group)
    raise InputError(f"group has the backends {config}; expected one that moves memory of the CPU, "
                     "such as gloo, or nccl")


def _gpus(group: dist.ProcessGroup) -> _core.Communicator:
    """The ranks of a group of NCCL as GPUs, by a communicator of our own: messages of PyTorch's come
    in the order of its stream, which is not that of an engine."""
    if not _core.features()["nccl"]:
        raise InputError("group has NCCL alone, and this build of annulus has none; expected a group "
                         "that moves memory of the CPU, such as gloo or cpu:gloo,cuda:nccl")
    if not torch.cuda.is_available():
        raise InputError("group has NCCL alone, and PyTorch sees no GPU here; expected one for every "
                         "rank, or a group that moves memory of the CPU, such as gloo")
    gpu = torch.cuda.current_device()
    made = _core.nccl_id() if group.rank() == 0 else bytes(128)
    shared = torch.tensor(list(made), dtype=torch.uint8, device=gpu)
    dist.broadcast(shared, dist.get_global_rank(group, 0), group=group)
    return _core.nccl_with_id(bytes(shared.tolist()), group.size(), group.rank(), gpu)
