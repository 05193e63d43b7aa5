"""--trace: what every rank did when, as Chrome trace events."""

import json

import pytest

SHAPE = ["--length", 211, "--heads", 4, "--head-dim", 8, "--mask", "causal"]


def spans(events):
    """Of each transfer, where it begins and ends."""
    ends = {(event["id"], event["cat"], event["name"]): event
            for event in events if event["ph"] == "e"}
    return [(event, ends[event["id"], event["cat"], event["name"]])
            for event in events if event["ph"] == "b"]


@pytest.mark.parametrize("launched", [False, True], ids=["threads", "mpi"])
def test_has_every_rank_and_every_byte(annulus, features, tmp_path, launched):
    if launched and features["mpi"] is None:
        pytest.skip("this build has no MPI")
    path = tmp_path / "trace.json"
    path.write_text("an older one")
    how = {"ranks": 3} if launched else {}
    where = [] if launched else ["--transport", "threads:3"]
    verified = annulus.ok("verify", *SHAPE, "--backward", "--schedule", "ring", *where, "--trace",
                          path, "--json", **how).json
    events = json.loads(path.read_text())["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events
             if event["name"] == "process_name"}
    assert sorted(names) == [0, 1, 2]
    assert all(name.startswith(f"rank {rank} on ") for rank, name in names.items())
    passes = [(event["pid"], event["name"]) for event in events if event.get("cat") == "pass"]
    assert sorted(passes) == sorted((rank, name) for rank in range(3)
                                    for name in ("forward", "backward"))
    transfers = spans(events)
    assert sum(begin["args"]["bytes"] for begin, _ in transfers
               if begin["cat"] == "sends") == verified["bytes_sent"]
    assert all(0 <= begin["ts"] <= end["ts"] for begin, end in transfers)
    # No rank has a message before its sender starts to send it: clocks agree.
    sends = {(begin["pid"], begin["name"].split(" to ")[1], begin["name"].split(" to ")[0],
              begin["args"]["step"], begin["args"]["bytes"]): begin["ts"]
             for begin, _ in transfers if begin["cat"] == "sends"}
    for begin, end in transfers:
        if begin["cat"] != "receives":
            continue
        item, sender = begin["name"].split(" from ")
        started = sends[int(sender), str(begin["pid"]), item, begin["args"]["step"],
                        begin["args"]["bytes"]]
        assert end["ts"] >= started
    assert [entry.name for entry in tmp_path.iterdir()] == ["trace.json"]


def test_is_refused_where_no_file_can_be(annulus, tmp_path):
    for path in (tmp_path, tmp_path / "missing" / "trace.json"):
        finished = annulus("verify", *SHAPE, "--trace", path)
        assert finished.code == 2
        assert finished.err.startswith(f"annulus: --trace {path}")
        assert finished.err.count("\n") == 1
    finished = annulus("verify", *SHAPE, "--decode", "--trace", tmp_path / "trace.json")
    assert finished.code == 2 and "--trace" in finished.err


def test_of_a_bench_has_all_that_was_timed(annulus, tmp_path):
    path = tmp_path / "trace.json"
    annulus.ok("bench", "strong", *SHAPE, "--transport", "threads:2", "--ranks", 2,
               "--repetitions", 3, "--trace", path)
    passes = [event for event in json.loads(path.read_text())["traceEvents"]
              if event.get("cat") == "pass" and event["pid"] == 1]
    assert len(passes) >= 3
