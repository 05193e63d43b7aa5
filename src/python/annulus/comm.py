"""Ranks: one alone, threads of this process, MPI processes, GPUs, or a process group of PyTorch.

A communicator is used by one thread at a time. Of what its ranks call, all is called by all of them
in the same order.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from annulus import _core
from annulus._core import Communicator
from annulus.errors import InputError

if TYPE_CHECKING:
    from mpi4py import MPI
    from torch.distributed import ProcessGroup

__all__ = ["Communicator", "Threads", "mpi", "nccl", "self", "threads", "torch"]

Result = TypeVar("Result")


def self() -> Communicator:
    """One rank alone."""
    return _core.SelfCommunicator()


class Threads(Sequence[Communicator]):
    """The communicators of ranks that are threads of this process, by rank.

    run() starts a thread for each. Whoever starts threads of his own gives each one of these, and
    none of them may fail without the others: who waits for it waits for ever.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = _core.ThreadRanks(ranks)
        self._size = ranks

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, rank):  # type: ignore[no-untyped-def]
        return [self._ranks.communicator(r) for r in range(self._size)][rank]

    def __iter__(self) -> Iterator[Communicator]:
        return (self._ranks.communicator(rank) for rank in range(self._size))

    def run(self, body: Callable[[Communicator], Result]) -> list[Result]:
        """Calls body(communicator) on a new thread for each rank, with new communicators, and returns
        what each of them returned, by rank. Where one raises, the waits of the others end, and it is
        raised again here; so does KeyboardInterrupt end them."""
        ranks = _core.ThreadRanks(self._size)
        results: list[Any] = [None] * self._size
        failures: list[BaseException | None] = [None] * self._size

        def run_rank(rank: int) -> None:
            try:
                results[rank] = body(ranks.communicator(rank))
                ranks.leave(rank)
            except BaseException as failure:  # noqa: BLE001 - raised again by whoever waits
                failures[rank] = failure
                ranks.give_up(rank)

        started = [threading.Thread(target=run_rank, args=(rank,)) for rank in range(self._size)]
        for thread in started:
            thread.start()
        try:
            for thread in started:
                thread.join()
        except BaseException:
            ranks.give_up(0)
            for thread in started:
                thread.join()
            raise
        first = ranks.first_to_fail
        for failure in [failures[first], *failures] if first >= 0 else failures:
            if failure is not None:
                raise failure
        return results


def threads(ranks: int) -> Threads:
    """So many ranks that are threads of this process: threads(3).run(body) calls body(comm) on each
    of them. Raises InputError for fewer than one."""
    return Threads(ranks)


def mpi(comm: "MPI.Comm | None" = None) -> Communicator:
    """Collective. The ranks of a communicator of mpi4py, by default MPI.COMM_WORLD; the same object
    for the same communicator. It has a duplicate, so that its messages meet no others, until the
    communicator is freed or the process ends.

    From the first call on, an exception that nobody catches and sys.exit with an error end all
    processes of the job, after their message: the others would wait for this one.

    Raises InputError where annulus and mpi4py are not built with the same MPI.
    """
    from annulus import _mpi
    return _mpi.communicator(comm)


def nccl(ranks: Communicator) -> Communicator:
    """Collective. The same ranks as GPUs, one each, that NCCL joins: keys and values go from device to
    device. A GPU for each is found by its place on its node; `ranks` are how they find each other, and
    not used any more then. Computes with arrays of GPUs alone. Never run on GPUs yet.

    Raises InputError where a rank sees no GPU, or two would share one, and in a build without NCCL.
    """
    if not isinstance(ranks, Communicator):
        raise InputError(f"ranks is a {type(ranks).__name__}; expected a communicator of annulus.comm")
    return _core.nccl_over(ranks)


def torch(group: "ProcessGroup | None" = None) -> Communicator:
    """The ranks of a process group of PyTorch, by default the default one; the same object for the
    same group.

    Where the group moves memory of the CPU, as with gloo, its messages carry that; arrays of GPUs go
    through it. Where it has NCCL alone, the ranks are GPUs, that of each being the current device of
    PyTorch: see nccl(). Raises InputError for other groups.
    """
    from annulus.torch import _group
    return _group.communicator(group)
