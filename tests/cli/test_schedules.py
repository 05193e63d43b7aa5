"""Every schedule: over MPI against the reference, with the bytes that its plan says."""

import pytest

SHAPE = ["--length", 211, "--heads", 4, "--key-heads", 2, "--head-dim", 8, "--mask", "causal"]


@pytest.mark.parametrize("schedule, ranks", [
    ("double-ring:2", 6),
    ("tiles", 6),
    ("heads:2", 3 * 2),
    ("heads:2+tiles:2x2", 8),
    ("heads:4+double-ring:3", 12),
])
@pytest.mark.parametrize("launched", [False, True], ids=["threads", "mpi"])
def test_is_right_and_sends_what_is_planned(annulus, features, schedule, ranks, launched):
    if launched and features["mpi"] is None:
        pytest.skip("this build has no MPI")
    how = {"ranks": ranks} if launched else {}
    where = [] if launched else ["--transport", f"threads:{ranks}"]
    verified = annulus.ok("verify", *SHAPE, "--backward", "--statistics", "--schedule", schedule,
                          *where, "--json", **how).json
    assert verified["valid"]
    planned = [
        annulus.ok("plan", *SHAPE, "--ranks", ranks, "--ranks-per-node", ranks, "--schedule",
                   schedule, *options, "--json").json for options in ([], ["--backward"])
    ]
    assert verified["bytes_sent"] == sum(plan["bytes_sent"] for plan in planned)
    assert {plan["schedule"] for plan in planned} == {verified["schedule"]}


@pytest.mark.parametrize("schedule, fits", [
    ("tiles:2x2", "tiles:1x6, tiles:2x3, tiles:3x2 or tiles:6x1"),
    ("heads:5", "expected 1, 2 or 3"),
    ("double-ring:4", "expected 1, 2, 3 or 6"),
    ("heads:2+node-ring", "expected ring, bidirectional, double-ring or tiles"),
    ("tiles:2", "tiles[:AxB]"),
    ("heads:0", "heads:U"),
])
def test_what_does_not_fit_is_refused_with_what_would(annulus, schedule, fits):
    for command in (["verify", "--transport", "threads:6"], ["plan", "--ranks", 6]):
        finished = annulus(*command, *SHAPE, "--schedule", schedule)
        assert finished.code == 2
        assert schedule in finished.err and fits in finished.err
        assert finished.err.count("\n") == 1


# What one sees of a program: which heads, whose queries, and where it goes.
def test_a_rank_is_shown_step_by_step(annulus):
    text = annulus.ok("plan", *SHAPE, "--ranks", 8, "--rank", 5, "--schedule",
                      "heads:2+tiles:2x2").out
    assert "queries of 4 (heads 2..3) with keys of 4 (head 1)" in text
    assert "sends states of" in text
    program = annulus.ok("plan", *SHAPE, "--ranks", 8, "--rank", 5, "--schedule",
                         "heads:2+tiles:2x2", "--json").json["programs"][0]
    sent = {send["what"] for step in program["steps"] for send in step["sends"]}
    assert sent == {"queries", "keys", "states"}
