"""Communicators of mpi4py."""

import atexit
import builtins
import sys
from types import TracebackType
from typing import Any, NoReturn

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


def _end_job(status: int) -> None:
    """The others would wait for this rank: whoever cannot go on ends the job."""
    if MPI.COMM_WORLD.Get_size() > 1:
        sys.stdout.flush()
        sys.stderr.flush()
        MPI.COMM_WORLD.Abort(status)


def _end_job_after(type_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _report(type_, error, trace)
    _end_job(1)


_report = sys.excepthook
sys.excepthook = _end_job_after


class _Exit(SystemExit):
    """What sys.exit raises. No hook tells that nobody has caught it, but that the interpreter then reads its
    code, below which no function is running."""

    def __init__(self, status: Any) -> None:
        super().__init__(status)
        self._status = status

    @property
    def code(self) -> Any:  # type: ignore[override]
        if sys._getframe().f_back is None and self._status not in (None, 0):
            if not isinstance(self._status, int):
                print(self._status, file=sys.stderr)
            _end_job(self._status if isinstance(self._status, int) else 1)
        return self._status


def _exit(status: Any = None, /) -> NoReturn:
    """sys.exit, after which, where it is an error, the job ends as after an exception."""
    raise _Exit(status)


sys.exit = _exit
builtins.exit = builtins.quit = _exit  # type: ignore[assignment]


@atexit.register
def _free() -> None:
    """In the order in which they were made, on all ranks, before mpi4py ends MPI."""
    for comm in _used:
        if comm != MPI.COMM_NULL:
            comm.Delete_attr(_attribute)
