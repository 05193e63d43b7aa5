"""Communicators of mpi4py."""

import atexit
import sys
from types import TracebackType

from mpi4py import MPI

from annulus import _core
from annulus.errors import InputError

_attribute = MPI.Comm.Create_keyval()
_used: list[MPI.Comm] = []


def communicator(comm: MPI.Comm | None) -> _core.Communicator:
    """See annulus.comm.mpi."""
    comm = MPI.COMM_WORLD if comm is None else comm
    if not isinstance(comm, MPI.Intracomm):
        raise InputError(f"comm is a {type(comm).__name__}; expected an mpi4py.MPI.Intracomm")
    if comm == MPI.COMM_NULL:
        raise InputError("comm is MPI.COMM_NULL; expected the ranks that compute")
    known = comm.Get_attr(_attribute)
    if isinstance(known, _core.Communicator):
        return known
    _check_library()
    made = _core.MpiCommunicator(MPI._addressof(comm))
    comm.Set_attr(_attribute, made)
    _used.append(comm)
    return made


def _check_library() -> None:
    theirs = MPI.Get_library_version().split("\n")[0].split(",")[0].rstrip("\0").strip()
    ours = _core.mpi_library()
    if not ours.startswith(theirs):
        raise InputError(f"comm: mpi4py is built with {theirs!r} and annulus with {ours!r}; "
                         "expected the same MPI")


def _end_job(type_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What is not caught here, the others would wait for."""
    _report(type_, error, trace)
    if MPI.COMM_WORLD.Get_size() > 1:
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(1)


_report = sys.excepthook
sys.excepthook = _end_job


@atexit.register
def _free() -> None:
    """In the order in which they were made, on all ranks, before mpi4py ends MPI."""
    for comm in _used:
        if comm != MPI.COMM_NULL:
            comm.Delete_attr(_attribute)
