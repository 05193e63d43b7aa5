"""One rank of annulus through its C interface (include/annulus/annulus.h), without MPI."""

import ctypes
import pathlib

POINTER = ctypes.c_void_p


class Problem(ctypes.Structure):
    _fields_ = [
        ("query_heads", ctypes.c_int64),
        ("key_heads", ctypes.c_int64),
        ("head_dim", ctypes.c_int64),
        ("value_dim", ctypes.c_int64),
        ("documents", ctypes.c_int64),
        ("query_offsets", ctypes.POINTER(ctypes.c_int64)),
        ("key_offsets", ctypes.POINTER(ctypes.c_int64)),
        ("mask", ctypes.c_char_p),
        ("logit_scale", ctypes.c_char_p),
    ]


class Options(ctypes.Structure):
    _fields_ = [
        ("precision", ctypes.c_char_p),
        ("sharding", ctypes.c_char_p),
        ("key_sharding", ctypes.c_char_p),
        ("backend", ctypes.c_char_p),
        ("threads", ctypes.c_int),
    ]


class Statistic(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("values", POINTER)]


class Outputs(ctypes.Structure):
    _fields_ = [
        ("lse", POINTER),
        ("statistics", ctypes.POINTER(Statistic)),
        ("statistic_count", ctypes.c_int64),
    ]


class Library:
    def __init__(self, build_folder):
        self.c = ctypes.CDLL(str(pathlib.Path(build_folder) / "lib" / "libannulus_c.so"))
        self.c.annulus_message.restype = ctypes.c_char_p
        self.c.annulus_version.restype = ctypes.c_char_p

    @property
    def version(self):
        return self.c.annulus_version().decode()

    def call(self, name, *arguments):
        if getattr(self.c, name)(*arguments) != 0:
            raise RuntimeError(f"{name}: {self.c.annulus_message().decode()}")


class Attention:
    """One sequence of n tokens. All arrays are addresses: q (n, H, d), k and v (n, G, d), dout
    (n, H, d) in the precision; everything else fp32, or fp64 for fp64."""

    def __init__(self, library, *, n, heads, head_dim, mask, precision, threads, key_heads=0):
        self.library = library
        offsets = (ctypes.c_int64 * 2)(0, n)
        problem = Problem(query_heads=heads, key_heads=key_heads, head_dim=head_dim, documents=1,
                          query_offsets=offsets, mask=mask.encode())
        options = Options(precision=precision.encode(), threads=threads)
        self.plan, self.attention = POINTER(), POINTER()
        library.call("annulus_plan_create", ctypes.byref(problem), ctypes.byref(options), 1,
                     ctypes.byref(self.plan))
        library.call("annulus_attention_create_self", self.plan, ctypes.byref(self.attention))

    def __del__(self):
        self.library.c.annulus_attention_destroy(self.attention)
        self.library.c.annulus_plan_destroy(self.plan)

    def forward(self, q, k, v, out, lse, **statistics):
        """Statistics by name, with the addresses of what is written (n, H)."""
        wanted = [Statistic(name.encode(), values) for name, values in statistics.items()]
        outputs = Outputs(lse, (Statistic * len(wanted))(*wanted), len(wanted))
        self.library.call("annulus_forward", self.attention, POINTER(q), POINTER(k), POINTER(v),
                          POINTER(out), None, ctypes.byref(outputs), 0)

    def backward(self, q, k, v, out, lse, dout, dq, dk, dv):
        addresses = map(POINTER, (q, k, v, out, lse, dout, dq, dk, dv))
        self.library.call("annulus_backward", self.attention, *addresses, None, None, None)
