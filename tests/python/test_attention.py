"""Passes against the definition, on ranks that are threads; arrays of all kinds."""

import ctypes
import tracemalloc

import numpy
import pytest
import torch

import annulus
from reference import assert_close, attention, random_case

UNITS = {"fp32": 2.0**-24, "fp64": 2.0**-53}


def run(case, ranks, precision, *, arrays=lambda x: x, **plan):
    """Both passes on some ranks, put together again."""
    problem = annulus.Problem(**case.problem)
    dtype = {"fp32": numpy.float32, "fp64": numpy.float64}[precision]
    q, k, v, dout = (x.astype(dtype) for x in (case.q, case.k, case.v, case.dout))

    def body(comm):
        made = annulus.make_plan(problem, ranks=comm, precision=precision, **plan)
        attention = annulus.RingAttention(made, comm, threads=1)
        rows, keys = made.query_rows(comm.rank), made.key_rows(comm.rank)
        given = [arrays(x) for x in (q[rows], k[keys], v[keys])]
        options = dict(gain=case.gain, sink=case.sink)
        forward = attention.forward(*given, lse=True, statistics=["entropy"], hold=True, **options)
        back = attention.backward(*given, forward.out, forward.lse, arrays(dout[rows]),
                                  held=forward.held, **options)
        return rows, keys, forward, back

    whole = {name: numpy.zeros(x.shape) for name, x in dict(
        out=case.dout, lse=case.q[..., 0], entropy=case.q[..., 0], dq=case.q, dk=case.k,
        dv=case.v).items()}
    for rows, keys, forward, back in annulus.comm.threads(ranks).run(body):
        whole["out"][rows], whole["lse"][rows] = forward.out, forward.lse
        whole["entropy"][rows] = forward.statistics["entropy"]
        whole["dq"][rows], whole["dk"][keys], whole["dv"][keys] = back.dq, back.dk, back.dv
        whole["dgain"] = back.dgain
        whole["dsink"] = numpy.zeros(len(back.dgain)) if back.dsink is None else back.dsink
    return whole


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("precision", UNITS)
def test_random_problems(seed, ranks, precision):
    case = random_case(seed)
    expected, largest = attention(case)
    for name, value in run(case, ranks, precision).items():
        assert_close(value, expected[name], UNITS[precision], 256, largest[name])


@pytest.mark.parametrize("schedule", ["ring", "node-ring", "bidirectional", "tiles:2x2", "heads:2"])
def test_schedules(schedule):
    case = random_case(5)
    while case.problem["query_heads"] < 2:
        case = random_case(case.problem["head_dim"] + 100)
    expected, largest = attention(case)
    for name, value in run(case, 4, "fp64", schedule=schedule).items():
        assert_close(value, expected[name], UNITS["fp64"], 256, largest[name])


def heads_first(x):
    return numpy.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)


def as_torch(x):
    return torch.from_numpy(numpy.array(x))


def as_part_of_more(x):
    wide = numpy.full((x.shape[0], x.shape[1] + 2, x.shape[2] + 3), numpy.nan, x.dtype)
    wide[:, 1:-1, 1:-2] = x
    return wide[:, 1:-1, 1:-2]


@pytest.mark.parametrize("arrays", [heads_first, as_torch, as_part_of_more])
def test_arrays_of_all_kinds(arrays):
    case = random_case(3)
    expected = run(case, 2, "fp64")
    for name, value in run(case, 2, "fp64", arrays=arrays).items():
        assert (numpy.asarray(value) == expected[name]).all(), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits(dtype):
    """The largest error is that of inputs that were rounded, not of sums."""
    case = random_case(7)
    precision = {torch.bfloat16: "bf16", torch.float16: "fp16"}[dtype]
    comm = annulus.comm.self()
    plan = annulus.make_plan(annulus.Problem(**case.problem), ranks=comm, precision=precision)
    q, k, v = (torch.from_numpy(x).to(dtype) for x in (case.q, case.k, case.v))
    for name, x in dict(q=q, k=k, v=v).items():
        setattr(case, name, x.double().numpy())
    out = annulus.RingAttention(plan, comm).forward(q, k, v, gain=case.gain, sink=case.sink).out
    assert out.dtype == torch.float32
    unit = torch.finfo(dtype).eps / 2
    assert_close(out, attention(case)[0]["out"], unit, factor=2)


@pytest.fixture
def small():
    """An attention of one rank, and arrays for it."""
    comm = annulus.comm.self()
    plan = annulus.make_plan(annulus.Problem(7, query_heads=2), ranks=comm)
    return annulus.RingAttention(plan, comm), numpy.ones((7, 2, 64), numpy.float32)


def test_outputs_of_the_caller(small):
    attention, x = small
    out, lse = numpy.empty((2, 7, 64), numpy.float32), numpy.empty((7, 2), numpy.float32)
    result = attention.forward(x, x, x, out=out.transpose(1, 0, 2), lse=lse)
    assert result.lse is lse
    assert (out == 1).all()
    assert_close(lse, numpy.full((7, 2), 8 + numpy.log(7)), 2**-24, 4)
    assert result.report.seconds > 0 and result.report.bytes_sent == 0


def test_tables_of_scales():
    comm = annulus.comm.self()
    problem = annulus.Problem(7, query_heads=2, logit_scale="table:base=1")
    attention = annulus.RingAttention(annulus.make_plan(problem, ranks=comm), comm)
    x = numpy.ones((7, 2, 64), numpy.float32)
    lse = attention.forward(x, x, x, lse=True, logit_scale=numpy.arange(7)).lse
    assert_close(lse[:, 1], 64 * numpy.arange(7) + numpy.log(7), 2**-24, 4)
    with pytest.raises(annulus.InputError, match="logit_scale: a table belongs to"):
        attention.forward(x, x, x)


@pytest.mark.parametrize("change, message", [
    (lambda x: x[:3], r"q is fp32 \(3, 2, 64\); expected fp32 \(7, 2, 64\)"),
    (lambda x: x.astype(numpy.float64), r"q is fp64 .*expected fp32"),
    (lambda x: x.astype(numpy.int32), r"q is 32-bit integers"),
    (lambda x: numpy.repeat(x, 2, axis=2)[:, :, ::2], "q has stride 2 on its last axis"),
    (lambda x: x[0], r"q is fp32 \(2, 64\)"),
    (lambda x: "text", "q is a str; expected an array"),
    (lambda x: torch.from_numpy(x).requires_grad_(), "q requires gradients.*detached"),
])
def test_wrong_arrays_are_refused_by_name(small, change, message):
    attention, x = small
    with pytest.raises(annulus.InputError, match=message):
        attention.forward(change(x), x, x)


@pytest.mark.parametrize("options, message", [
    (dict(gain=[1.0]), "gain has 1 numbers; expected 2"),
    (dict(gain=[1.0, numpy.nan]), r"gain\[1\] is nan"),
    (dict(statistics=["entropie"]), "statistics: .*entropie.*entropy"),
    (dict(out=numpy.broadcast_to(numpy.float32(0), (7, 2, 64))), "out is a ndarray; expected .*written"),
    (dict(lse=numpy.empty((7, 3), numpy.float32)), r"lse is fp32 \(7, 3\)"),
])
def test_wrong_options_are_refused_by_name(small, options, message):
    attention, x = small
    with pytest.raises(annulus.InputError, match=message):
        attention.forward(x, x, x, **options)


def test_an_engine_that_cannot_be_is_refused():
    comm = annulus.comm.self()
    plan = annulus.make_plan(annulus.Problem(7), ranks=2)
    with pytest.raises(annulus.InputError, match="plan is for 2 ranks"):
        annulus.RingAttention(plan, comm)
    plan = annulus.make_plan(annulus.Problem(7), ranks=1)
    with pytest.raises(annulus.InputError, match="backend"):
        annulus.RingAttention(plan, comm, backend="abacus")
    with pytest.raises(annulus.InputError, match="threads is -1"):
        annulus.RingAttention(plan, comm, threads=-1)


def test_an_engine_outlives_its_communicator():
    attention = annulus.RingAttention(annulus.make_plan(annulus.Problem(7), ranks=1),
                                      annulus.comm.self())
    x = numpy.ones((7, 1, 64), numpy.float32)
    assert (attention.forward(x, x, x).out == 1).all()


def test_arrays_of_jax(small):
    """Where JAX is: DLPack hands out the memory that it has, and it takes the results."""
    jax = pytest.importorskip("jax")
    attention, x = small
    random = numpy.random.default_rng(1)
    given = [random.standard_normal(x.shape, numpy.float32) for _ in range(3)]
    expected = attention.forward(*given).out
    arrays = [jax.numpy.asarray(each) for each in given]
    assert all(numpy.from_dlpack(each).ctypes.data == each.unsafe_buffer_pointer() for each in arrays)
    out = attention.forward(*arrays).out
    assert isinstance(out, numpy.ndarray) and (out == expected).all()
    assert (jax.numpy.from_dlpack(out) == expected).all()


class OnGpu:
    """An array that says by DLPack that it lies on a GPU, as one of CuPy does."""

    DEVICE = (2, 0)  # kDLCUDA, the first

    def __init__(self, array):
        self.array = array

    def __dlpack_device__(self):
        return self.DEVICE

    def __dlpack__(self, *, stream=None):
        assert stream != 0, "what the array API does not allow on CUDA"
        capsule = self.array.__dlpack__()
        pointer = ctypes.pythonapi.PyCapsule_GetPointer
        pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
        device = pointer(capsule, b"dltensor") + ctypes.sizeof(ctypes.c_void_p)  # behind the data
        (ctypes.c_int32 * 2).from_address(device)[:] = self.DEVICE
        return capsule


@pytest.mark.parametrize("name", ["q", "k", "v", "out"])
def test_arrays_of_a_gpu_are_known_as_such(small, name):
    attention, x = small
    given = {each: OnGpu(x) if each == name else x for each in ("q", "k", "v")}
    out = OnGpu(numpy.empty_like(x)) if name == "out" else None
    with pytest.raises(annulus.InputError, match=f"^{name} lies on a GPU, and device is cpu"):
        attention.forward(*given.values(), out=out)


def test_inputs_are_not_copied(small):
    """By Python: nothing of the size of an input is allocated but the output."""
    n, comm = 1 << 16, annulus.comm.self()
    plan = annulus.make_plan(annulus.Problem(n, query_heads=4, mask="window:1"), ranks=comm)
    attention = annulus.RingAttention(plan, comm)
    x = numpy.ones((4, n, 64), numpy.float32).transpose(1, 0, 2)
    tracemalloc.start()
    attention.forward(x, x, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.1 * x.nbytes
