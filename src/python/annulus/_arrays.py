"""Arrays of the caller's library, and numbers for the engine."""

import sys
from typing import Any

import numpy

_NUMPY_TYPES = {"fp32": numpy.float32, "fp64": numpy.float64}


def empty(like: Any, shape: tuple[int, ...], precision: str) -> Any:
    """An array of fp32 or fp64, of the library and on the device of `like`: PyTorch or CuPy, else
    numpy, whose arrays all others take."""
    library = type(like).__module__.partition(".")[0]
    if library == "torch":
        torch = sys.modules["torch"]
        dtype = {"fp32": torch.float32, "fp64": torch.float64}[precision]
        return torch.empty(shape, dtype=dtype, device=like.device)
    if library == "cupy":
        return sys.modules["cupy"].empty(shape, dtype=_NUMPY_TYPES[precision])
    return numpy.empty(shape, dtype=_NUMPY_TYPES[precision])


def numbers(values: Any) -> numpy.ndarray | None:
    """fp64 numbers, row-major, of whatever can be made into such."""
    if values is None:
        return None
    if hasattr(values, "detach"):
        values = values.detach().to("cpu").double()
    return numpy.ascontiguousarray(values, dtype=numpy.float64)


def sums_of(precision: str) -> str:
    """The precision of sums and outputs."""
    return "fp64" if precision == "fp64" else "fp32"
