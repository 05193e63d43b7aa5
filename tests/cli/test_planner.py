"""plan --machine and bench machine: what is predicted, and from what."""

import re

import pytest

SHAPE = ["--length", 4096, "--heads", 8, "--head-dim", 64, "--mask", "causal"]
COLUMNS = ["schedule", "sharding", "seconds", "exposed_seconds", "bytes_sent", "memory_bytes", "why"]


@pytest.mark.parametrize("options", [[], ["--backward"]], ids=["forward", "backward"])
def test_every_schedule_has_a_row_and_the_best_is_first(annulus, options):
    ranking = annulus.ok("plan", *SHAPE, *options, "--ranks", 8, "--ranks-per-node", 4, "--machine",
                         "zen4", "--json").json
    rows = ranking["rows"]
    assert all(list(row) == COLUMNS for row in rows)
    assert [row["seconds"] for row in rows] == sorted(row["seconds"] for row in rows)
    names = [row["schedule"] for row in rows]
    assert {"ring", "node-ring", "bidirectional", "double-ring:4", "heads:2", "heads:8"} <= set(names)
    assert any(name.startswith("tiles:") for name in names)
    assert len(names) == len(set(names))
    assert ranking["machine"] == "zen4"
    # Bytes are those of the plan itself.
    ring = next(row for row in rows if row["schedule"] == "ring")
    plan = annulus.ok("plan", *SHAPE, *options, "--ranks", 8, "--ranks-per-node", 4, "--schedule",
                      "ring", "--sharding", ring["sharding"], "--json").json
    assert ring["bytes_sent"] == plan["bytes_sent"]
    assert ring["memory_bytes"] == max(rank["memory_bytes"] for rank in plan["ranks"])


def test_auto_is_what_is_ranked_first_on_a_slow_link(annulus, tmp_path):
    machine = tmp_path / "slow.toml"
    machine.write_text("""name = "slow"
source = "a test"
memory = "shared"
cores = 1
links = 1
[inside]
latency = 1e-6
bytes_per_second = 1e9
busy_per_byte = 0
[between]
latency = 1e-3
bytes_per_second = 1e6
busy_per_byte = 0
[[kernel]]
precision = "fp32"
pass = "forward"
head_dim = 64
per_pair = 1e-9
per_query = 1e-8
per_key = 1e-8
per_row = 1e-8
per_call = 1e-6
""")
    options = [*SHAPE, "--ranks", 4, "--machine", machine, "--json"]
    best = annulus.ok("plan", *options).json["rows"][0]
    chosen = annulus.ok("plan", *options, "--rank", 0).json
    assert chosen["schedule"] == best["schedule"] != "ring"
    text = annulus.ok("plan", *options[:-1]).out
    assert "predicted for slow (a test)" in text and "transfers of the first one hide from" in text
    # What the machine lacks is named.
    finished = annulus("plan", *SHAPE, "--backward", "--ranks", 4, "--machine", machine)
    assert finished.code == 2 and "no figures for fp32 backward" in finished.err
    machine.write_text(machine.read_text().replace("per_row = 1e-8", "per_row = -1"))
    finished = annulus("plan", *SHAPE, "--ranks", 4, "--machine", machine)
    assert finished.code == 2 and "kernel 1: per_row: -1" in finished.err
    assert finished.err.count("\n") == 1


def test_ranks_compute_with_what_a_node_has(annulus, tmp_path):
    shared = ["plan", *SHAPE, "--ranks", 4, "--ranks-per-node", 4, "--machine"]
    assert "4 ranks of 1 GPU\n" in annulus.ok(*shared, "h200").out
    annulus.refused(*shared, "h200", "--threads", 2, says=["--threads", "h200", "GPUs"])
    measured = tmp_path / "here.toml"
    annulus.ok("bench", "machine", "--output", measured, "--precision", "fp32", "--head-dim", 16,
               "--seconds", 1, "--threads", 1)
    cores = int(re.search(r"cores = (\d+)", measured.read_text())[1])
    text = annulus.ok(*shared, measured, "--threads", cores).out
    assert f"4 ranks of {cores} core{'s' if cores > 1 else ''}, 4 on the {cores} of a node" in text


def test_one_rank_sends_nothing(annulus):
    assert annulus.ok("plan", *SHAPE, "--ranks", 1, "--machine", "zen4").out.endswith(
        "\nthe first one sends nothing\n")


def test_a_machine_that_is_not_there_is_refused(annulus, tmp_path):
    for command in (["plan", "--ranks", 2], ["verify", "--transport", "threads:2"]):
        finished = annulus(*command, *SHAPE, "--machine", tmp_path / "none.toml")
        assert finished.code == 2
        assert "--machine" in finished.err and "zen4" in finished.err
        assert finished.err.count("\n") == 1


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_measured_machine_is_one_to_plan_for(annulus, tmp_path, ranks):
    path = tmp_path / "here.toml"
    where = [] if ranks == 1 else ["--transport", f"threads:{ranks}"]
    measured = annulus.ok("bench", "machine", "--output", path, "--precision", "fp32",
                          "--head-dim", "16,32", "--seconds", 1, *where, "--json").json
    assert len(measured["kernels"]) == 4
    assert all(kernel["per_pair"] > 0 for kernel in measured["kernels"])
    assert ("inside nodes assumed" in measured["source"]) == (ranks == 1)
    assert "between nodes assumed" in measured["source"]
    ranking = annulus.ok("plan", *SHAPE, "--ranks", 2, "--machine", path, "--json").json
    assert ranking["rows"][0]["seconds"] > 0
    assert ranking["source"] == measured["source"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["here.toml"]


def test_bench_machine_refuses_before_it_measures(annulus, tmp_path):
    finished = annulus("bench", "machine", "--output", tmp_path / "missing" / "here.toml")
    assert finished.code == 2 and "--output" in finished.err
    assert annulus("bench", "machine").code == 2
