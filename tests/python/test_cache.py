"""Decode over a cache that is spread over ranks is one forward pass."""

import numpy
import pytest

import annulus
from reference import assert_close

N, HEADS, D = 41, 2, 16


@pytest.fixture
def tensors():
    random = numpy.random.default_rng(2)
    return [random.standard_normal((N, heads, D)) for heads in (HEADS, 1, 1)]


def problem():
    return annulus.Problem(N, query_heads=HEADS, key_heads=1, head_dim=D, mask="causal",
                           logit_scale="critical:gamma=0.5")


@pytest.mark.parametrize("ranks", [1, 3])
def test_prefill_and_decode(tensors, ranks):
    q, k, v = tensors

    def body(comm):
        out = numpy.zeros((N, HEADS, D))
        cache = annulus.Cache(problem(), comm, precision="fp64", threads=1)
        for count in [17, *[1] * 24]:
            rows = cache.next([count])[:, 1]
            cache.append(k[rows], v[rows])
            out[rows] = cache.attend(q[rows], statistics=["entropy"]).out
        assert cache.lengths == [N] and cache.bytes > 0
        return out

    one = annulus.comm.self()
    whole = annulus.RingAttention(annulus.make_plan(problem(), ranks=one, precision="fp64"), one)
    assert_close(sum(annulus.comm.threads(ranks).run(body)), whole.forward(q, k, v).out, 2.0**-53)


def test_a_prefill_by_a_plan(tensors):
    _, k, v = tensors

    def body(comm):
        plan = annulus.make_plan(annulus.Problem(30), ranks=comm)
        cache = annulus.Cache(problem(), comm, precision="fp64", threads=1)
        tokens = cache.next_of(plan)
        assert (tokens[:, 1] == plan.key_rows(comm.rank)).all()
        cache.append(k[tokens[:, 1]], v[tokens[:, 1]])
        return cache.lengths

    assert annulus.comm.threads(2).run(body) == [[30], [30]]


def test_nonsense_is_refused():
    cache = annulus.Cache(problem(), annulus.comm.self())
    with pytest.raises(annulus.InputError, match="count"):
        cache.next([1, 2])
    cache.next([N + 1])
    x = numpy.ones((N + 1, 1, D), numpy.float32)
    with pytest.raises(annulus.InputError, match=f"would have {N + 1} tokens"):
        cache.append(x, x)
    with pytest.raises(annulus.InputError, match="k is fp32"):
        cache.append(x[:1], x)


def test_ranks_that_differ_raise_the_same():
    def body(comm):
        messages = []
        try:
            annulus.Cache(annulus.Problem(N, head_dim=D + comm.rank), comm)
        except annulus.InputError as error:
            messages.append(str(error))
        cache = annulus.Cache(problem(), comm, threads=1)
        rows = len(cache.next([2 + comm.rank]))
        x = numpy.ones((rows, 1, D), numpy.float32)
        cache.append(x, x)
        try:
            cache.attend(numpy.ones((rows, HEADS, D), numpy.float32))
        except annulus.InputError as error:
            messages.append(str(error))
        return messages

    first, second = annulus.comm.threads(2).run(body)
    assert first == second
    assert first[0] == f"head_dim: {D + 1} on rank 1 and {D} on rank 0; expected the same"
    assert first[1].startswith("the tokens: ")
