"""The engine on simulated ranks: what is printed follows from formulas. Skipped without SimGrid."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(os.environ["ANNULUS_SOURCE"])
PLATFORMS = ROOT / "configs" / "platforms"

pytestmark = pytest.mark.skipif(shutil.which("smpirun") is None,
                                reason="no SimGrid: libsimgrid-dev is missing")


@pytest.fixture(scope="session")
def program():
    """annulus_simulate, which launch/simulate builds."""
    run = subprocess.run([ROOT / "launch/simulate", "--ranks", "8", "--study", "work", "--schedule",
                          "ring", "--length", "4096", "--json"], capture_output=True, text=True,
                         check=False)
    assert run.returncode == 0, run.stderr
    printed = json.loads(run.stdout)
    assert printed["simulated"] is True and len(printed["rows"]) == 1
    return ROOT / "build-simulate/bin/annulus_simulate"


def run(program, *arguments):
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False)


def simulated(program, platform, *arguments):
    done = run(program, "--platform", platform, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["simulated"] is True
    return printed["rows"][0]


def costs(**given):
    """A kernel that takes nothing but what is given."""
    names = ("pair", "query", "key", "row", "call")
    return [text for name in names for text in (f"--per-{name}", given.get(name, 0))]


RANKS, HEADS, KEY_HEADS, DIM = 128, 8, 2, 64
ROWS = 128  # of each rank, whole tiles
SHAPE = ["--ranks", RANKS, "--length", RANKS * ROWS, "--heads", HEADS, "--key-heads", KEY_HEADS,
         "--head-dim", DIM, "--mask", "full", "--sharding", "contiguous", "--precision", "bf16"]
SHARD_BYTES = 2 * ROWS * KEY_HEADS * DIM * 2  # keys and values


def test_compute_of_128_ranks(program):
    row = simulated(program, PLATFORMS / "fat-tree.toml", *SHAPE, "--schedule", "ring",
                    *costs(pair=1e-9, call=1e-5))
    seconds = RANKS * (ROWS * ROWS * HEADS * 1e-9 + 1e-5)
    for name in ("simulated_compute_seconds_min", "simulated_compute_seconds_max",
                 "simulated_seconds"):
        assert row[name] == pytest.approx(seconds, rel=1e-6), name
    assert row["simulated_exposed_seconds"] < 1e-6
    assert row["bytes_sent"] == RANKS * (RANKS - 1) * SHARD_BYTES


@pytest.mark.parametrize("ranks_of_a_node,platform,bandwidth",
                         [(1, "fat-tree", 50e9), (8, "infiniband", 50e9)])
def test_links_of_128_ranks(program, ranks_of_a_node, platform, bandwidth):
    """A ring of ranks that compute nothing takes P - 1 transfers, over the slowest links."""
    row = simulated(program, PLATFORMS / f"{platform}.toml", *SHAPE, "--schedule", "ring", *costs())
    seconds = (RANKS - 1) * SHARD_BYTES / (0.99 * bandwidth)
    latency = (RANKS - 1) * 2.1e-6
    assert seconds < row["simulated_seconds"] < seconds + latency
    assert row["simulated_exposed_seconds"] == pytest.approx(row["simulated_seconds"], rel=0.01)


def test_backward_takes_gradients_along(program):
    """Fetched are P - 2 shards of 16 bits, and brought home P - 1 of 32."""
    row = simulated(program, PLATFORMS / "fat-tree.toml", *SHAPE, "--schedule", "ring", "--backward",
                    *costs(pair=1e-9))
    assert row["simulated_seconds"] == pytest.approx(RANKS * ROWS * ROWS * HEADS * 1e-9, rel=0.01)
    assert row["bytes_sent"] == RANKS * ((RANKS - 2) + 2 * (RANKS - 1)) * SHARD_BYTES


@pytest.mark.parametrize("schedule", ["bidirectional", "double-ring:8", "tiles:8x16", "heads:2",
                                      "heads:2+tiles:8x8"])
@pytest.mark.parametrize("backward", [[], ["--backward"]])
def test_schedules(program, schedule, backward):
    """All work is done, whoever does it."""
    row = simulated(program, PLATFORMS / "infiniband.toml", *SHAPE, "--schedule", schedule, *backward,
                    *costs(pair=1e-9))
    mean = RANKS * ROWS * ROWS * HEADS * 1e-9
    assert row["simulated_compute_seconds_mean"] == pytest.approx(mean, rel=1e-6)
    assert row["simulated_seconds"] >= row["simulated_compute_seconds_max"]


@pytest.mark.parametrize("arguments,expected", [
    (["--platform", "nowhere.toml"], "nowhere.toml"),
    (["--platform", PLATFORMS / "two-hosts.toml", "--ranks", 3], "--ranks"),
    (["--platform", PLATFORMS / "two-hosts.toml", "--ranks", 2, "--per-pair", -1], "--per-pair"),
    (["--platform", PLATFORMS / "two-hosts.toml", "--ranks", 2, "--machine", "abacus"], "--machine"),
    (["--platform", PLATFORMS / "infiniband.toml", "--schedule", "node-ring"], "node-ring"),
    (["--ranks", 2], "--platform"),
])
def test_bad_input(program, arguments, expected):
    done = run(program, *arguments)
    assert done.returncode == 2
    assert expected in done.stderr and done.stderr.count("\n") == 1


def test_the_launcher_refuses_what_a_platform_lacks(program):
    done = run(ROOT / "launch/simulate", "--platform", "two-hosts")
    assert done.returncode == 2
    assert done.stdout == "" and "--ranks" in done.stderr and done.stderr.count("\n") == 1


def test_weak_scaling_computes_whole_tiles(program):
    done = run(ROOT / "launch/simulate", "--ranks", 16, "--study", "work", "--schedule", "auto",
               "--length", 9000, "--json")
    assert done.returncode == 0, done.stderr
    fewer, more = json.loads(done.stdout)["rows"]
    for row in (fewer, more):
        assert row["asked_schedule"] == "auto" and row["schedule"] != "auto"
        assert row["n_q"] % (2 * row["ranks"] * 64) == 0
    assert fewer["simulated_efficiency"] == 1
    work = (more["n_q"] / fewer["n_q"]) ** 2 / 2  # of a rank
    speed = work * fewer["simulated_seconds"] / more["simulated_seconds"]
    assert more["simulated_efficiency"] == pytest.approx(speed)


@pytest.mark.parametrize("line,instead", [
    ("nodes = 2", "nodes = 0"), ("nodes = 2", ""), ("network = \"crossbar\"", "network = \"torus\""),
    ("payload = 0.94", "payload = 1.5"), ("outside_latency = 25e-6", "outside_latency = \"low\""),
    ("hop_latency = 0", "hop_latency = 0\nbandwith = 3"),
])
def test_damaged_platform(program, tmp_path, line, instead):
    text = (PLATFORMS / "two-hosts.toml").read_text()
    assert line in text
    platform = tmp_path / "damaged.toml"
    platform.write_text(text.replace(line, instead))
    done = run(program, "--platform", platform, "--ranks", 2)
    assert done.returncode == 2
    assert "damaged.toml" in done.stderr and done.stderr.count("\n") == 1
