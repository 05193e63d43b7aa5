"""Ranks on two hosts, which are network namespaces of this machine: what crosses the link between
them, and what is read in place on each."""

import json
import os
import re
import shutil
import signal
import subprocess
import time

import h5py
import numpy as np
import pytest

from conftest import ROOT
from exact_attention import attend
from inputs import random_problem, write


def can_make_hosts():
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        return False
    made = subprocess.run(["ip", "netns", "add", f"annulus-probe-{os.getpid()}"],
                          check=False).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", f"annulus-probe-{os.getpid()}"], check=True)
    return made


pytestmark = [
    pytest.mark.mpi,
    pytest.mark.usefixtures("needs_mpi"),
    pytest.mark.skipif(not can_make_hosts(), reason="no network namespaces here"),
]


def start(annulus, ranks, *arguments):
    command = [ROOT / "launch" / "two_hosts", ranks, annulus.program, *arguments]
    return subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(annulus, ranks, *arguments):
    process = start(annulus, ranks, *arguments)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("ranks,schedule", [(1, "ring"), (2, "node-ring"), (3, "node-ring")])
@pytest.mark.parametrize("mask", ["full", "causal", "window:60,40"])
def test_verify(annulus, ranks, schedule, mask):
    shape = ["--length", 211, "--mask", mask, "--threads", 1]
    assert "INVALID" not in run(annulus, ranks, "verify", *shape, "--backward")
    plan = annulus.ok("plan", *shape[:4], "--ranks", 2 * ranks, "--ranks-per-node", ranks, "--json")
    assert plan.json["schedule"] == schedule


def schedules_of(annulus):
    """Every schedule that is registered, with and without sizes, alone and in teams of heads."""
    said = annulus("plan", "--schedule", "?").err
    forms = re.search(r"expected auto, (.*), heads:U or heads:U\+ one of these", said).group(1)
    sized = forms.replace("M]", "2]").replace("AxB]", "2x2]")
    single = [form for each in sized.split(", ")
              for form in {re.sub(r"\[.*\]", "", each), re.sub(r"\[(.*)\]", r"\1", each)}]
    assert all(re.fullmatch(r"[a-z-]+(:\d(x\d)?)?", form) for form in single), single
    return [*single, "heads:2", *(f"heads:2+{form}" for form in single)]


def test_every_schedule(annulus):
    """Two ranks on each of two hosts: forward and backward, and the bytes that its plan says."""
    shape = ["--length", 211, "--heads", 4, "--key-heads", 2, "--head-dim", 8, "--mask", "causal"]
    ran = set()
    for schedule in schedules_of(annulus):
        options = [*shape, "--schedule", schedule]
        planned = [annulus("plan", *options, "--ranks", 4, "--ranks-per-node", 2, *more, "--json")
                   for more in ([], ["--backward"])]
        if planned[0].code == 2 and schedule.startswith("heads:2+"):
            continue  # not in teams
        assert [plan.code for plan in planned] == [0, 0], planned[0].err
        verified = json.loads(run(annulus, 2, "verify", *options, "--backward", "--statistics",
                                  "--threads", 1, "--json"))
        assert verified["valid"], schedule
        assert verified["schedule"] == planned[0].json["schedule"]
        assert verified["bytes_sent"] == sum(plan.json["bytes_sent"] for plan in planned), schedule
        ran.add(verified["schedule"])
    assert {"ring", "node-ring", "bidirectional", "double-ring:2", "tiles:2x2", "heads:2"} <= ran


@pytest.mark.usefixtures("needs_hdf5")
def test_attend_says_where_it_ran(annulus, tmp_path):
    problem = random_problem(queries=53, mask="causal")
    source = write(problem, tmp_path / "in.h5")
    options = ["--mask", "causal", "--precision", "fp64", "--json"]
    run(annulus, 2, "attend", source, "-o", tmp_path / "out.h5", *options)
    with h5py.File(tmp_path / "out.h5") as file:
        np.testing.assert_allclose(file["out"][...], attend(problem).out, rtol=0, atol=1e-12)
        assert file.attrs["ranks"] == 4
        assert len(set(np.atleast_1d(file.attrs["hosts"]).tolist())) == 2


@pytest.mark.usefixtures("needs_hdf5")
@pytest.mark.parametrize("case", ["input on one host", "two inputs", "output", "config", "shared"])
def test_folders_that_hosts_do_not_share(annulus, tmp_path, case):
    """A folder of each host by the same name: what rank 1 sees there is not what rank 0 sees."""
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    other.mkdir()
    folder = {"output": tmp_path, "shared": tmp_path}.get(case, own)
    source = write(random_problem(queries=53), folder / "in.h5")
    if case == "two inputs":
        write(random_problem(queries=53, seed=2), other / "in.h5")
    config = own / "study.toml"
    config.write_text('kind = "needle"\nn = [64]\nrho = [0.5]\ngamma = [1.0]\n')
    script = tmp_path / "rank.sh"
    script.write_text(f"""#!/bin/sh
if [ "$OMPI_COMM_WORLD_RANK" = 1 ]; then mount --bind {other} {own}; fi
exec {annulus.program} "$@"
""")
    script.chmod(0o755)
    output = (own if case == "output" else tmp_path) / "out.h5"
    job = ["study", config] if case == "config" else ["attend", source]
    command = [ROOT / "launch" / "two_hosts", 1, script, *job, "-o", output]
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30,
                         check=False)
    if case == "shared":
        assert run.returncode == 0, run.stderr
        return
    said = [line for line in run.stderr.splitlines() if line.startswith("annulus:")]
    assert run.returncode == 2 and len(said) == 1, run.stderr
    path = {"output": f"--output {output}", "config": config}.get(case, source)
    assert said[0].startswith(f"annulus: {path}: on host annulus-"), said
    assert "rank 1" in said[0] and "folder that all hosts share" in said[0]
    assert not output.exists() and not list(own.glob(".*"))


def test_a_cut_link_ends_the_job(annulus):
    """Open MPI looks after its links, as launch/two_hosts and launch/mpirun ask it to."""
    process = start(annulus, 2, "bench", "strong", "--length", 4099, "--ranks", 4, "--repetitions",
                    100000)
    host = f"annulus-{process.pid}-1"
    try:
        # Once the hosts talk, they do so all the time.
        wait_for(lambda: sent_from(host) > 1 << 20)
        subprocess.run(["ip", "-n", host, "link", "set", "l1", "down"], check=True)
        cut = time.monotonic()
        err = process.communicate(timeout=60)[1]
    finally:
        process.terminate()
    assert process.returncode != 0
    assert time.monotonic() - cut < 60
    assert "lost communication with a remote daemon" in err
    wait_for(lambda: not ranks_on(process.pid))


def sent_from(host):
    """Bytes that a host has sent over its link."""
    shown = subprocess.run(["ip", "-n", host, "-s", "-j", "link", "show", "l1"],
                           capture_output=True, text=True, check=False)
    return json.loads(shown.stdout)[0]["stats64"]["tx"]["bytes"] if shown.returncode == 0 else 0


def ranks_on(pid):
    """The ranks on the second host, which lose their launcher with the link."""
    found = subprocess.run(["ip", "netns", "pids", f"annulus-{pid}-2"], capture_output=True,
                           text=True, check=False)
    return found.stdout.split()


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_rank_that_dies_ends_the_job_on_both_hosts(annulus):
    marker = 4099 + os.getpid() % 1000  # tells this job's processes from others
    process = start(
        annulus, 2, "bench", "strong", "--length", marker, "--ranks", 4, "--repetitions", 100000
    )
    pattern = f"^{annulus.program} bench strong --length {marker}"
    deadline = time.monotonic() + 60
    while True:
        found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True,
                               check=False)
        ranks = [int(pid) for pid in found.stdout.split()]
        if len(ranks) == 4:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    time.sleep(1)  # into the passes
    os.kill(ranks[-1], signal.SIGKILL)
    killed = time.monotonic()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert time.monotonic() - killed < 30
    while subprocess.run(["pgrep", "-f", pattern], capture_output=True,
                         check=False).returncode == 0:
        assert time.monotonic() - killed < 30
        time.sleep(0.1)
