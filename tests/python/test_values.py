"""Problems and plans as values, and what is said of those that make no sense."""

import re

import numpy
import pytest

import annulus


def test_a_problem_says_what_it_is():
    problem = annulus.Problem(101, query_heads=4, key_heads=2, head_dim=16, value_dim=8,
                              mask="window:5", logit_scale="critical:gamma=2")
    assert (problem.query_heads, problem.key_heads) == (4, 2)
    assert (problem.head_dim, problem.value_dim) == (16, 8)
    assert (problem.queries, problem.keys, problem.documents) == (101, 101, [0, 101])
    assert problem.mask == "window:5"
    assert problem.logit_scale == "critical:gamma=2,base=1,length=global"
    assert "101 queries" in repr(problem)


@pytest.mark.parametrize("documents", [[0, 3, 10], numpy.array([0, 3, 10], numpy.int32),
                                       (0, numpy.int64(3), 10)])
def test_documents_are_any_integers(documents):
    assert annulus.Problem(documents=documents).documents == [0, 3, 10]


def test_a_batch_and_cross_attention():
    assert annulus.Problem(5, batch=3).documents == [0, 5, 10, 15]
    assert annulus.Problem(5, key_length=7).key_documents == [0, 7]


@pytest.mark.parametrize("arguments, message", [
    (dict(length=5, mask="diagonal"), "mask: .*diagonal.*full, causal"),
    (dict(length=5, logit_scale="log"), "logit_scale: .*log.*ssmax"),
    (dict(length=5, query_heads=3, key_heads=2), "multiple"),
    (dict(), "length, documents: expected one of them"),
    (dict(length=5, documents=[0, 5]), "length, documents: expected one of them"),
    (dict(documents=[0, 5, 3]), "documents, key_documents: "),
    (dict(documents=[0, 5.5]), "documents: expected integers"),
    (dict(documents=[0, 5], batch=2), "batch: expected length"),
])
def test_nonsense_is_refused_by_name(arguments, message):
    with pytest.raises(annulus.InputError, match=message) as caught:
        annulus.Problem(**arguments)
    assert isinstance(caught.value, ValueError) and isinstance(caught.value, annulus.Error)


@pytest.mark.parametrize("arguments, message", [
    (dict(ranks=0), "rank"),
    (dict(ranks=2, sharding="random"), "sharding: .*random.*zigzag"),
    (dict(ranks=2, schedule="spiral"), "schedule: .*spiral.*ring"),
    (dict(ranks=6, schedule="tiles:4x2"), "tiles"),
    (dict(ranks=2, precision="fp8"), "precision: .*fp8.*bf16"),
])
def test_plans_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(annulus.InputError, match=message):
        annulus.make_plan(annulus.Problem(100, query_heads=4), **arguments)


def test_a_plan_prints_and_can_be_looked_into():
    plan = annulus.make_plan(annulus.Problem(100, mask="causal"), ranks=4, sharding="zigzag",
                             schedule="ring")
    assert str(plan) == "ring over 4 ranks, zigzag sharding, 4 steps, fp32"
    assert (plan.ranks, plan.sharding, plan.schedule, plan.precision) == (4, "zigzag", "ring", "fp32")
    assert [(run.document, run.first, run.stride, run.count) for run in plan.query_shard(1)] == [
        (0, 13, 1, 13), (0, 75, 1, 12)] or plan.query_count(1) == 25
    rows = numpy.concatenate([plan.query_rows(rank) for rank in range(4)])
    assert rows.dtype == numpy.int64 and sorted(rows) == list(range(100))
    assert [len(plan.key_rows(rank)) for rank in range(4)] == [plan.key_count(r) for r in range(4)]
    steps = plan.program(1)
    assert len(steps) == 4
    assert steps[0].computes[0].keys.owner == 1 and steps[0].computes[0].keys.what == "keys"
    assert steps[0].sends[0].peer == 2 and steps[0].receives[0].peer == 0
    assert steps[0].sends[0].item.heads == (0, 1)
    assert len(plan.describe(1).splitlines()) == 1 + len(steps)


def test_what_a_plan_costs():
    plan = annulus.make_plan(annulus.Problem(100, mask="causal"), ranks=4, sharding="contiguous",
                             schedule="ring")
    costs = [plan.cost(rank) for rank in range(4)]
    assert sum(cost.area for cost in costs) == 100 * 101 // 2
    assert costs[0].memory.total == sum(getattr(costs[0].memory, part) for part in
                                        ("inputs", "outputs", "state", "buffers"))
    assert plan.cost(3, of="backward").bytes_sent > 0
    with pytest.raises(annulus.InputError, match="rank is 4; the plan is for ranks 0 to 3"):
        plan.cost(4)


def test_nodes():
    plan = annulus.make_plan(annulus.Problem(100), ranks=4, ranks_per_node=2, schedule="node-ring")
    assert {compute.holder for compute in plan.program(1)[0].computes} == {0, 1}
    with pytest.raises(annulus.InputError, match="ranks_per_node"):
        annulus.make_plan(annulus.Problem(100), ranks=annulus.comm.self(), ranks_per_node=1)


def test_the_build_says_what_it_is():
    assert re.fullmatch(r"\d+\.\d+\.\d+", annulus.__version__)
    assert {"cpu", "reference"} <= set(annulus.backends())
    assert "entropy" in annulus.statistics()
    assert set(annulus.features()) >= {"mpi", "hdf5", "cuda"}
