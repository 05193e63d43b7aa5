"""launch/slurm: the scripts that it writes, and what a real Slurm of one node makes of them."""

import os
import pathlib
import re
import shutil
import subprocess

import h5py
import pytest

import one_node_slurm
from conftest import PROGRAM, ROOT

LAUNCHER = str(ROOT / "launch" / "slurm")
CORES = len(os.sched_getaffinity(0))
# Some hundred points of a tenth of a second and more.
STUDY = """kind = "phase"
tokens = "simplex"
n = [1024]
rho = [0.25, 0.5, 0.75]
gamma = {from = 0.0, to = 8.0, count = 1000}
measure = ["gradient_norm"]
"""


def script(*arguments, path=None):
    finished = subprocess.run(
        [LAUNCHER, "--print", "--cores-per-rank", "4", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_one_script_for_each_number_of_ranks():
    said = script("--ranks", "1,6", "--ranks-per-node", 4, "echo", "a word", "{ranks}.h5")
    first, second = said.split("#!/usr/bin/env bash\n")[1:]
    assert "--ntasks=1\n" in first and "--nodes=1\n" in first and "--ntasks-per-node=1\n" in first
    assert (
        "--ntasks=6\n" in second and "--nodes=2\n" in second and "--ntasks-per-node=4\n" in second
    )
    assert "srun --mpi=pmix --cpus-per-task=4 echo a\\ word 6.h5 &" in second
    assert "scontrol requeue" not in said


def test_options_reach_the_script():
    said = script(
        "--time",
        "5:00",
        "--grace",
        30,
        "--partition",
        "debug",
        "--account",
        "me",
        "--sbatch",
        "--exclusive",
        "--sbatch",
        "--qos=low",
        "--mpi",
        "pmi2",
        "--restarts",
        3,
        "true",
        "--resume",
    )
    for option in (
        "--time=5:00",
        "--signal=B:USR1@30",
        "--partition=debug",
        "--account=me",
        "--exclusive",
        "--qos=low",
        "--requeue",
    ):
        assert f"#SBATCH {option}\n" in said
    assert "srun --mpi=pmi2 " in said and '"${SLURM_RESTART_COUNT:-0}" -lt 3 ]' in said


def test_shellcheck_has_nothing_to_say(tmp_path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not here")
    (tmp_path / "job").write_text(script("--ranks", 2, "true", "--resume"))
    subprocess.run(["shellcheck", tmp_path / "job"], check=True, timeout=60)


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--ranks", "1,x", "true"], "--ranks: 'x'; expected a whole number"),
        (["--ranks", ",", "true"], "--ranks: ''; expected"),
        (["--grace", "0", "true"], "--grace: '0'; expected a whole number"),
        (["--cores-per-rank", "-1", "true"], "--cores-per-rank: '-1'"),
        (["--time"], "--time: a value is missing"),
        (["--nonsense", "true"], "unknown option '--nonsense'"),
        (["/nowhere/annulus"], "there is no program /nowhere/annulus"),
    ],
)
def test_bad_input_is_one_line(arguments, says):
    finished = subprocess.run(
        [LAUNCHER, "--print", "--cores-per-rank", "1", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr.count("\n") == 1 and says in finished.stderr


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    if reason := one_node_slurm.missing():
        if "CI" in os.environ:
            pytest.fail(reason)
        pytest.skip(reason)
    # The daemons' folder is short of name, for their sockets.
    with one_node_slurm.OneNodeSlurm(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def submit(slurm, tmp_path):
    """Submits in `tmp_path`; the numbers of the jobs, which do not outlive the test."""
    jobs = []

    def run(*arguments):
        finished = slurm.run(LAUNCHER, *arguments, cwd=tmp_path)
        assert finished.returncode == 0, finished.stderr
        found = re.findall(
            r"^job (\d+): \d+ ranks, \d+ cores each, \S+\.log$", finished.stdout, re.MULTILINE
        )
        assert len(found) == finished.stdout.count("\n")
        jobs.extend(found)
        return found

    yield run
    for job in jobs:
        slurm.run("scancel", job)
    slurm.wait_for(lambda: slurm.run("squeue", "--noheader").stdout == "", "scancel")


def property_of(slurm, job, name):
    return re.search(rf"\b{name}=(\S+)", slurm.run("scontrol", "show", "job", job).stdout).group(1)


def log(folder, job):
    return next(folder.glob(f"results/slurm/annulus-*-{job}.log")).read_text()


def test_slurm_says_how_large_the_study_is(slurm):
    said = slurm.run(LAUNCHER, "--print").stdout
    ranks = re.findall(r"--ntasks=(\d+)", said)
    assert ranks == (["1", "2"] if CORES > 1 else ["1"])
    assert set(re.findall(r"--cpus-per-task=(\d+)", said)) == {str(CORES // min(CORES, 2))}
    assert "bench strong" in said and "--output results/slurm/strong-1.h5 --resume" in said


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_a_job_runs_as_so_many_ranks(slurm, submit, tmp_path):
    counts = [1, min(CORES, 2)]
    jobs = submit("--ranks", ",".join(map(str, counts)), PROGRAM, "verify", "--length", "{ranks}3")
    slurm.wait_for(lambda: slurm.run("squeue", "--noheader").stdout == "", "the jobs")
    for job, count in zip(jobs, counts, strict=True):
        assert f"{count} rank" in log(tmp_path, job) and "VALID" in log(tmp_path, job)
        assert property_of(slurm, job, "ExitCode") == "0:0"


@pytest.mark.parametrize(
    "options, says",
    [
        (
            [
                "--ranks",
                f"1,{CORES + 1}",
                "--ranks-per-node",
                str(CORES + 1),
                "--cores-per-rank",
                "1",
            ],
            f"sbatch refuses {CORES + 1} ranks: ",
        ),
        (["--time", "soon"], "--time"),
        (["--sbatch", "--nonsense"], "--nonsense"),
    ],
)
def test_all_jobs_are_submitted_or_none(slurm, tmp_path, options, says):
    finished = slurm.run(LAUNCHER, *options, "true", cwd=tmp_path)
    assert finished.returncode == 2 and finished.stdout == ""
    assert finished.stderr.count("\n") == 1 and says in finished.stderr
    assert slurm.run("squeue", "--noheader").stdout == "" and not os.listdir(tmp_path)


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi", "needs_hdf5")
def test_a_study_goes_on_after_its_time_limit(slurm, submit, tmp_path):
    """No limit is shorter than a minute; Slurm tells of it up to half a minute before it has to."""
    (tmp_path / "study.toml").write_text(STUDY)
    [job] = submit(
        "--time",
        "1",
        "--grace",
        55,
        "--ranks",
        min(CORES, 2),
        PROGRAM,
        "study",
        "study.toml",
        "--output",
        "out-{ranks}.h5",
        "--resume",
    )
    output = tmp_path / f"out-{min(CORES, 2)}.h5"
    slurm.wait_for(output.exists, "the first points")
    slurm.wait_for(lambda: property_of(slurm, job, "Restarts") == "1", "the limit", seconds=90)
    assert "the time limit is near: queued again" in log(tmp_path, job)
    slurm.wait_for(lambda: property_of(slurm, job, "JobState") == "RUNNING", "the restart")
    ended = output.stat().st_mtime
    slurm.wait_for(lambda: output.stat().st_mtime > ended, "points after the restart")
    slurm.run("scancel", job)
    slurm.wait_for(lambda: property_of(slurm, job, "JobState") == "CANCELLED", "scancel")
    with h5py.File(output) as file:
        assert file.attrs["complete"] == 0
        assert len(file.attrs["resumptions"]) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"study.toml", output.name, "results"}


def cpu_seconds(*arguments):
    """What the programs with these arguments have computed."""
    ticks = 0
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if words[0].endswith("annulus") and set(arguments) <= set(words):
            ticks += int(stat[11]) + int(stat[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
def test_what_cannot_resume_ends_at_its_limit(slurm, submit):
    """The signal that Slurm sends near the limit, sent by hand."""
    [job] = submit(
        "--ranks", 1, PROGRAM, "bench", "strong", "--length", 4096, "--repetitions", 100000
    )
    # A step that is about to start loses its signals.
    slurm.wait_for(lambda: cpu_seconds("--repetitions", "100000") > 1, "the program")
    slurm.run("scancel", "--batch", "--signal=USR1", job)
    slurm.wait_for(lambda: property_of(slurm, job, "JobState") == "FAILED", "the end")
    assert property_of(slurm, job, "ExitCode") == "143:0"
    assert property_of(slurm, job, "Restarts") == "0"
