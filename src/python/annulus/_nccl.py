"""The NCCL that comes with PyTorch, before any other.

A process has one libnccl.so.2, the first that is loaded. PyTorch needs its own, which is mostly newer than
that of the system, with which annulus may be linked; a newer one serves both.
"""

import ctypes
import importlib.util
from pathlib import Path


def _load() -> None:
    """Where PyTorch has not been imported yet, and is there."""
    try:
        found = importlib.util.find_spec("nvidia.nccl")
    except ModuleNotFoundError:
        return
    for folder in (found.submodule_search_locations or []) if found else []:
        library = Path(folder) / "lib" / "libnccl.so.2"
        if library.exists():
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
            return


_load()
