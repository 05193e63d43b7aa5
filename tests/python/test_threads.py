"""Ranks that are threads: what they return, and how they fail together."""

import threading

import numpy
import pytest

import annulus


def test_every_rank_returns():
    assert annulus.comm.threads(3).run(lambda comm: (comm.rank, comm.size)) == [(0, 3), (1, 3), (2, 3)]


def test_communicators_for_threads_of_the_caller():
    world = annulus.comm.threads(3)
    assert [comm.rank for comm in world] == [0, 1, 2] and world[1].rank == 1 and len(world) == 3
    done = []
    threads = [threading.Thread(target=lambda comm=comm: (comm.barrier(), done.append(comm.rank)))
               for comm in world]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2]


@pytest.mark.parametrize("dtype", [numpy.float64, numpy.float32])
def test_sums_take_the_place_of_numbers(dtype):
    def body(comm):
        numbers = numpy.full(20000, [1, 1e8, 1][comm.rank], dtype)
        comm.sum(numbers)
        return numbers
    for sums in annulus.comm.threads(3).run(body):
        assert sums.dtype == dtype and (sums == dtype(100000002)).all()


@pytest.mark.parametrize("numbers", [numpy.ones(4, numpy.int64), numpy.ones(4)[::2], [1.0, 2.0],
                                     numpy.ones((2, 2))])
def test_sums_of_what_would_be_copied_are_refused(numbers):
    with pytest.raises(TypeError, match="numbers"):
        annulus.comm.self().sum(numbers)


def test_the_first_failure_is_raised():
    def body(comm):
        if comm.rank == 1:
            raise KeyError("the cause")
        comm.barrier()
    with pytest.raises(KeyError, match="the cause"):
        annulus.comm.threads(3).run(body)


def test_whoever_waits_for_a_rank_that_is_gone_is_told():
    def body(comm):
        if comm.rank == 1:
            return
        comm.barrier()
    with pytest.raises(annulus.CommunicationError, match="waits for rank 1"):
        annulus.comm.threads(2).run(body)


def test_fewer_than_one_rank_is_refused():
    with pytest.raises(annulus.InputError, match="0 ranks"):
        annulus.comm.threads(0)


def agreeing(change):
    """What each rank raises where rank 1 changes its arguments."""
    def body(comm):
        arguments = dict(length=100, mask="causal")
        options = dict(gain=[1.0])
        rows = slice(0, None)
        if comm.rank == 1:
            rows = change(arguments, options) or rows
        try:
            plan = annulus.make_plan(annulus.Problem(**arguments), ranks=comm)
            attention = annulus.RingAttention(plan, comm, threads=1)
            x = numpy.ones((plan.query_count(comm.rank), 1, 64), numpy.float32)
            attention.forward(x[rows], x, x, **options)
        except annulus.InputError as error:
            return str(error)
    return annulus.comm.threads(3).run(body)


@pytest.mark.parametrize("change, message", [
    (lambda p, o: p.update(length=101), "documents: [0, 101] on rank 1 and [0, 100] on rank 0"),
    (lambda p, o: p.update(mask="full"), "mask: full on rank 1 and causal on rank 0"),
    (lambda p, o: o.update(gain=[2.0]), "gain: [2] on rank 1 and [1] on rank 0"),
    (lambda p, o: o.update(statistics=True), "statistics: asked for on rank 1 and not asked for"),
    (lambda p, o: slice(0, 3), "q is fp32 (3, 1, 64)"),
])
def test_ranks_that_differ_raise_the_same(change, message):
    messages = agreeing(change)
    assert len(set(messages)) == 1 and message in messages[0], messages
