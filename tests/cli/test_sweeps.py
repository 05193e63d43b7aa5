"""Scaling studies: tables, files that fill point by point, and what ends a run."""

import csv
import io
import os
import pathlib
import random
import signal
import subprocess
import time

import numpy as np
import pytest

from conftest import PROGRAM, ROOT

SMALL = ["--length", 101, "--heads", 2, "--head-dim", 8, "--repetitions", 2, "--threads", 1]
LISTS = ["--length", "101,202", "--mask", "causal,window:9,9", "--schedule", "ring,tiles", "--pass",
         "forward,backward", "--heads", 2, "--head-dim", 8, "--repetitions", 2, "--threads", 1]


def points_of(path, kind="strong"):
    """The samples of every finished point by its number; none where there is no file yet."""
    h5py = pytest.importorskip("h5py")
    if not path.exists():
        return {}
    with h5py.File(path) as file:
        finished = file[kind]["finished"][:]
        return {i: file[kind]["samples"][i] for i in np.flatnonzero(finished)}


def hidden_files(folder):
    return [name for name in os.listdir(folder) if name.startswith(".")]


def test_lists_make_series(annulus):
    rows = annulus.ok("bench", "strong", *LISTS, "--transport", "threads:2", "--json").json["rows"]
    assert len(rows) == 2 * 2 * 2 * 2 * 2
    assert {row["mask"] for row in rows} == {"causal", "window:9,9"}
    assert {row["schedule"].split(":")[0] for row in rows} == {"ring", "tiles"}
    for one, two in zip(rows[::2], rows[1::2]):
        assert (one["ranks"], two["ranks"]) == (1, 2)
        assert one["speedup"] == one["efficiency"] == 1
        assert two["speedup"] == pytest.approx(one["seconds"] / two["seconds"])
        assert two["efficiency"] == pytest.approx(two["speedup"] / 2)
        for row in one, two:
            assert row["verdict"] == "VALID"
            assert sorted(row["samples"])[0] == row["seconds_min"]
            assert row["seconds"] == pytest.approx(np.median(row["samples"]))
            assert 0 < row["balance"] <= 1
            assert row["bytes_between_nodes"] == 0
        assert one["overlap"] is None and one["bandwidth"] is None
    sent = [row for row in rows if row["bytes_sent"] > 0]
    assert sent
    for row in sent:
        assert 0 <= row["overlap"] <= 1
        assert row["bandwidth"] > 0 and row["link_bandwidth"] > 0 and row["messages_sent"] > 0


def test_csv_is_the_rows(annulus):
    arguments = ["bench", "strong", *SMALL, "--mask", "window:9,9", "--transport", "threads:2"]
    table = list(csv.DictReader(io.StringIO(annulus.ok(*arguments, "--csv").out)))
    rows = annulus.ok(*arguments, "--json").json["rows"]
    assert [row["ranks"] for row in table] == ["1", "2"]
    assert list(table[0]) == list(rows[0])
    assert table[0]["mask"] == "window:9,9" and table[0]["overlap"] == ""
    assert len(table[0]["samples"].split()) == 2


@pytest.mark.parametrize("constant, lengths", [("work", [101, 144, 174]),
                                               ("memory", [101, 204, 306])])
def test_weak_problems_grow(annulus, constant, lengths):
    rows = annulus.ok("bench", "weak", *SMALL, "--constant", constant, "--ranks", "1,2,3",
                      "--transport", "threads:3", "--json").json["rows"]
    assert [row["n_k"] for row in rows] == [row["n_q"] for row in rows] == lengths
    assert {row["length"] for row in rows} == {101}
    for row in rows:
        ratio = row["flops_per_second"] / rows[0]["flops_per_second"]
        assert row["speedup"] == pytest.approx(ratio)
        assert row["efficiency"] == pytest.approx(ratio / row["ranks"])


def test_environment(annulus):
    environment = annulus.ok("bench", "strong", *SMALL, "--json").json["environment"]
    assert "bench strong" in environment["command_line"]
    assert len(environment["hosts"]) == len(environment["cores"]) == len(environment["cpus"]) == 1


def test_one_row_is_a_table(annulus):
    lines = annulus.ok("bench", "strong", *SMALL).out.splitlines()
    assert "efficiency" in lines[-2] and "VALID" in lines[-1]


def test_what_does_not_fit_is_left_out(annulus):
    finished = annulus.ok("bench", "strong", *SMALL, "--schedule", "ring,heads:2", "--transport",
                          "threads:2", "--json")
    assert [row["verdict"] for row in finished.json["rows"]] == ["VALID", "VALID", "UNFIT", "VALID"]
    assert "UNFIT: schedule heads:2" in finished.err


def test_rows_say_what_was_asked_for(annulus):
    rows = ["bench", "strong", *SMALL, "--schedule", "auto,ring", "--transport", "threads:2"]
    asked = [row["asked_schedule"] for row in annulus.ok(*rows, "--json").json["rows"]]
    assert asked == ["auto", "auto", "ring", "ring"]
    assert "asked_schedule" in annulus.ok(*rows).out
    assert "asked_schedule" not in annulus.ok(*rows[:3 + len(SMALL)], "ring").out


@pytest.mark.usefixtures("needs_hdf5")
def test_jobs_of_one_list_fill_one_file(annulus, tmp_path):
    """A list has what a smaller job cannot run, and files know why."""
    for transport, verdicts in [("self", ["VALID", "UNFIT"]),
                                ("threads:2", ["VALID", "VALID", "UNFIT", "VALID"])]:
        finished = annulus.ok("bench", "strong", *SMALL, "--schedule", "ring,heads:2", "--ranks",
                              "1,2", "--transport", transport, "--output", tmp_path / "o.h5",
                              "--json", *(["--resume"] if transport != "self" else []))
        assert [row["verdict"] for row in finished.json["rows"]] == verdicts
        if transport == "self":  # found out just now
            assert "UNFIT: schedule heads:2" in finished.err


@pytest.mark.parametrize("arguments, says", [
    (["strong", "--ranks", "1,2"], ["--ranks: 2"]),
    (["strong", "--resume"], ["--resume", "--output"]),
    (["strong", "--json", "--csv"], ["--csv", "--json"]),
    (["strong", "--schedule", "heads:2,tiles:1x2"], ["heads:2"]),
    (["strong", "--documents", "5,6", "--length", "7,8"], ["--documents"]),
    (["strong", "--constant", "work"], ["--constant"]),
    (["strong", "--warmup", "0"], ["--warmup"]),
    (["weak", "--documents", "5,6"], ["--documents"]),
    (["weak", "--queries", "5"], ["--queries"]),
    (["weak", "--constant", "time"], ["--constant", "work or memory"]),
    (["weak", "--output", "o.h5", "--ranks", "2,3"], ["--ranks: 2"]),
    (["weak", "--output", "o.h5", "--length", "2000000000", "--constant", "memory", "--ranks",
      "1,2"], ["--length"]),
])
def test_refusals(annulus, tmp_path, arguments, says):
    annulus.refused("bench", *arguments, says=says, cwd=tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("needs_hdf5")
def test_file_holds_the_rows(annulus, tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    rows = annulus.ok("bench", "weak", *LISTS, "--transport", "threads:2", "--output",
                      tmp_path / "o.h5", "--json").json["rows"]
    with xarray.open_dataset(tmp_path / "o.h5", group="weak", engine="h5netcdf") as data:
        assert data.attrs == {}
        for name in ["seconds", "ranks", "n_k", "bytes_sent", "overlap", "flops", "balance",
                     "threads", "link_bandwidth", "length"]:
            expected = [np.nan if row[name] is None else row[name] for row in rows]
            np.testing.assert_array_equal(data[name].values, expected, err_msg=name)
        for name in ["mask", "schedule", "sharding", "pass", "precision", "verdict"]:
            assert data[name].values.astype(str).tolist() == [row[name] for row in rows], name
        ranks = np.isfinite(data["rank_seconds"].values).sum(axis=1)
        assert ranks.tolist() == [row["ranks"] for row in rows]
        parts = data["rank_compute_seconds"] + data["rank_exposed_seconds"]
        assert (parts <= data["rank_seconds"]).values[np.isfinite(parts.values)].all()
    with xarray.open_dataset(tmp_path / "o.h5", engine="h5netcdf") as root:
        assert root.attrs["complete"] == 1
        assert root.attrs["transport"] == "threads"


@pytest.mark.usefixtures("needs_hdf5")
def test_jobs_of_more_and_more_ranks_fill_a_file(annulus, tmp_path):
    output = tmp_path / "o.h5"
    annulus.ok("bench", "strong", *SMALL, "--ranks", "1,2,3", "--output", output)
    before = points_of(output)
    assert list(before) == [0]
    for ranks in 2, 3:
        # What the job has by itself, threads and ranks, is as in the file.
        arguments = [one for one in SMALL if one not in ("--threads", 1)]
        finished = annulus.ok("bench", "strong", *arguments, "--output", output, "--resume",
                              "--transport", f"threads:{ranks}")
        assert ("are left" in finished.err) == (ranks < 3)
        after = points_of(output)
        assert list(after) == list(range(ranks))
        for point, samples in before.items():
            np.testing.assert_array_equal(after[point], samples)
        before = after
    complete = output.read_bytes()
    again = annulus.ok("bench", "strong", *SMALL, "--output", output, "--resume", "--json").json
    assert [row["ranks"] for row in again["rows"]] == [1, 2, 3]
    assert output.read_bytes() == complete


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_hdf5", "needs_mpi")
def test_jobs_of_mpi_fill_a_file(annulus, tmp_path):
    output = tmp_path / "o.h5"
    for ranks in 1, 2, 4:
        annulus.ok("bench", "weak", *SMALL, "--ranks", "1,2,4", "--output", output, "--resume",
                   ranks=ranks)
    assert list(points_of(output, "weak")) == [0, 1, 2]


@pytest.mark.usefixtures("needs_hdf5")
def test_files_of_others_are_refused(annulus, tmp_path):
    output = tmp_path / "o.h5"
    annulus.ok("bench", "strong", *SMALL, "--output", output)
    before = output.read_bytes()
    resume = ["--output", output, "--resume"]
    annulus.refused("bench", "strong", *SMALL, "--output", output, says=["exists", "--resume"])
    annulus.refused("bench", "strong", *SMALL, "--mask", "causal", *resume,
                    says=["another config", "mask.*full.*there and.*causal.*here"])
    annulus.refused("bench", "strong", *SMALL, "--ranks", "1,2", *resume, says=["ranks"])
    annulus.refused("bench", "strong", *SMALL[:-1], 2, *resume, says=["threads is 1 there"])
    annulus.refused("bench", "weak", *SMALL, *resume, says=["kind is 'strong' there"])
    assert output.read_bytes() == before
    (tmp_path / "text").write_text("no HDF5")
    annulus.refused("bench", "strong", *SMALL, "--output", tmp_path / "text", "--resume",
                    says=["not a results file"])
    annulus.ok("bench", "strong", *SMALL, "--output", output, "--overwrite")
    assert hidden_files(tmp_path) == []


def started(annulus, output):
    return subprocess.Popen(
        annulus.command("bench", "strong", *LISTS, "--transport", "threads:2", "--output", output,
                        "--resume"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.usefixtures("needs_hdf5")
def test_killed_at_any_moment_it_loses_no_finished_point(annulus, tmp_path):
    """SIGKILL at random moments: what was finished once stays, to the bit, until all is."""
    output = tmp_path / "o.h5"
    chance = random.Random(7)
    kept, kills = {}, 0
    while kills < 20:
        process = started(annulus, output)
        time.sleep(chance.uniform(0, 0.6) * (1 + kills / 20))
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
        now = points_of(output)
        assert kept.keys() <= now.keys()
        for point, samples in kept.items():
            np.testing.assert_array_equal(now[point], samples)
        kept = now
    assert kills > 3 and kept
    assert started(annulus, output).wait() == 0
    whole = points_of(output)
    assert len(whole) == 32
    for point, samples in kept.items():
        np.testing.assert_array_equal(whole[point], samples)
    assert hidden_files(tmp_path) == []


@pytest.mark.usefixtures("needs_hdf5")
@pytest.mark.parametrize("after", [0, 1])
def test_terminated_it_ends_in_order(annulus, tmp_path, after):
    """At any moment after the file was begun, and after the first point."""
    output = tmp_path / "o.h5"
    process = started(annulus, output)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        if (output.exists() if after else hidden_files(tmp_path) or output.exists()):
            break
    process.terminate()
    assert process.wait() == -signal.SIGTERM
    assert hidden_files(tmp_path) == []
    kept = points_of(output)
    assert len(kept) >= after
    assert started(annulus, output).wait() == 0
    assert len(points_of(output)) == 32


def launch_scaling(root, *arguments):
    return subprocess.run([root / "launch" / "scaling", *map(str, arguments)], text=True,
                          capture_output=True, check=False, timeout=300)


@pytest.fixture
def root(tmp_path):
    """A project whose build is the one under test."""
    (tmp_path / "launch").symlink_to(ROOT / "launch")
    (tmp_path / "build").symlink_to(pathlib.Path(PROGRAM).parents[1])
    return tmp_path


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_hdf5", "needs_mpi")
def test_launch_scaling_writes_a_report_and_does_nothing_twice(root):
    pytest.importorskip("matplotlib")
    arguments = ["--ranks", "2,1", "--output", root / "out", "--", "--length", 64, "--schedule",
                 "ring", "--repetitions", 2]
    finished = launch_scaling(root, *arguments)
    assert finished.returncode == 0, finished.stderr
    assert "ranks 1,2, threads each" in finished.stdout
    assert (root / "out" / "index.html").exists() and (root / "out" / "sweep.csv").exists()
    for kind in "strong", "weak":
        assert list(points_of(root / "out" / f"{kind}.h5", kind)) == [0, 1]
    before = (root / "out" / "strong.h5").read_bytes()
    assert launch_scaling(root, *arguments).returncode == 0
    assert (root / "out" / "strong.h5").read_bytes() == before
    other = launch_scaling(root, *arguments[:5], "--length", 65)
    assert other.returncode == 2 and "another config" in other.stderr


@pytest.mark.parametrize("arguments, says", [
    (["--rank", "1"], "--rank"), (["--ranks"], "--ranks"), (["--ranks", "0"], "--ranks"),
    (["--ranks", "1,,2"], "--ranks"), (["--threads", "x"], "--threads"), (["more"], "more")])
def test_launch_scaling_refuses(root, arguments, says):
    finished = launch_scaling(root, *arguments)
    assert finished.returncode == 2 and says in finished.stderr
    assert finished.stderr.count("\n") == 1
    assert not (root / "results").exists()


def test_launch_scaling_helps(root):
    finished = launch_scaling(root, "--help")
    assert finished.returncode == 0 and "--launcher" in finished.stdout
