"""How the program was started: what needs no MPI starts none, and no rank runs alone by mistake."""

import json
import os
import re
import subprocess

import pytest

from conftest import PROGRAM, mpirun

# What `srun --mpi=none` leaves in the environment of a task: MPI_Init dies of it where MPI was not
# built for it.
SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEPID": "0", "SLURM_PROCID": "0",
         "SLURM_STEP_NUM_TASKS": "1", "SLURM_NTASKS": "1", "SLURM_NODELIST": "here",
         "SLURM_LOCALID": "0", "SLURM_NODEID": "0", "SLURM_TASKS_PER_NODE": "1"}


def run(*command, **environment):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60,
                          check=False, env=dict(os.environ, **environment))


def starts_mpi(*command, **environment):
    """Whether the program opened what an MPI session of this machine cannot do without."""
    finished = run(*command, **environment, OMPI_MCA_mpi_show_mca_params="all")
    assert finished.returncode == 0, finished.stderr
    return "mpi_show_mca_params" in finished.stdout + finished.stderr


@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("arguments", ["--version", "--help", "plan --length 99", "info",
                                       "verify --length 9", "verify --length 9 --transport self",
                                       "verify --length 9 --transport threads:2"])
def test_one_task_of_slurm_needs_no_mpi(arguments):
    assert not starts_mpi(PROGRAM, *arguments.split(), **SLURM)


@pytest.mark.usefixtures("needs_mpi")
def test_what_starts_mpi_is_seen_to():
    assert starts_mpi(PROGRAM, "verify", "--length", "9", "--transport", "mpi")


@pytest.mark.usefixtures("needs_mpi")
def test_info_tells_the_thread_level_all_the_same(annulus):
    assert annulus.ok("info", "--json").json["mpi"]["thread_level"] in (
        "FUNNELED", "SERIALIZED", "MULTIPLE")


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("arguments", ["--version", "plan --length 99", "info"])
def test_the_first_of_many_processes_speaks(arguments):
    alone = run(PROGRAM, *arguments.split())
    first = run(*mpirun(3), PROGRAM, *arguments.split())
    # info measures two kinds of product.
    words, expected = (re.sub(r" at \d+\.\d+", " at so many", text)
                       for text in (first.stdout, alone.stdout))
    assert words == expected


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("lost", [["OMPI_COMM_WORLD_SIZE"],
                                  ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"]])
def test_ranks_join_where_the_launcher_does_not_say_how_many(lost):
    unset = [word for name in lost for word in ("-u", name)]
    finished = run(*mpirun(2), "env", *unset, PROGRAM, "verify", "--length", 31)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("2 ranks"), finished.stdout


@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.parametrize("variable", ["SLURM_PROCID", "PMI_RANK"])
def test_a_rank_that_mpi_does_not_join_is_refused(variable):
    finished = run(PROGRAM, "verify", "--length", 31, **{variable: "1"})
    assert finished.returncode == 2
    assert f"{variable} is 1" in finished.stderr and "MPI joins 1" in finished.stderr


def test_a_batch_script_is_one_process():
    finished = run(PROGRAM, "verify", "--length", 31, SLURM_PROCID="0", SLURM_NTASKS="4")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize("name, value", [("OMPI_COMM_WORLD_SIZE", "x"), ("PMI_SIZE", ""),
                                         ("SLURM_STEP_NUM_TASKS", "0"), ("PMIX_RANK", "-1")])
def test_variables_that_are_no_numbers(name, value):
    finished = run(PROGRAM, "plan", **{name: value})
    assert finished.returncode == 2
    assert f"{name}: '{value}'; expected a whole number" in finished.stderr


def threads(*launcher, arguments=(), **environment):
    """Threads of a rank, as bench decode tells them."""
    clean = {name: value for name, value in os.environ.items()
             if not name.startswith(("OMP_", "SLURM_"))}
    finished = subprocess.run(
        [*launcher, PROGRAM, "bench", "decode", "--length", "64", "--heads", "2", "--key-heads", "2",
         "--head-dim", "16", "--tokens", "1", "--json", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env={**clean, **environment})
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)["rows"][0]["threads"], finished.stderr


CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize("bind", ["close", "spread", "true", "false"])
def test_bound_threads_do_not_hide_cores(bind):
    assert threads(OMP_PROC_BIND=bind)[0] == CORES


def test_threads_are_as_many_as_asked_for():
    assert threads(OMP_NUM_THREADS="1")[0] == 1
    assert threads(OMP_NUM_THREADS="3,2")[0] == 3
    assert threads(OMP_THREAD_LIMIT="1")[0] == 1
    assert threads(SLURM_CPUS_PER_TASK="1")[0] == 1
    assert threads("taskset", "-c", str(min(os.sched_getaffinity(0))))[0] == 1
    assert threads(OMP_NUM_THREADS="1", arguments=["--threads", "2"])[0] == 2


def test_threads_that_openmp_does_not_give_are_refused():
    finished = run(PROGRAM, "verify", "--length", 9, "--threads", 2, OMP_THREAD_LIMIT="1")
    assert finished.returncode == 2
    assert "--threads: 2; OMP_THREAD_LIMIT allows 1" in finished.stderr
    finished = run(PROGRAM, "verify", "--length", 9, OMP_NUM_THREADS="many")
    assert finished.returncode == 2
    assert "OMP_NUM_THREADS: 'many'; expected a whole number" in finished.stderr


@pytest.mark.mpi
@pytest.mark.usefixtures("needs_mpi")
@pytest.mark.skipif(CORES < 2, reason="one core is all there is")
def test_ranks_that_are_bound_in_the_way_of_others_are_told():
    one_core = [*mpirun(2), "taskset", "-c", str(min(os.sched_getaffinity(0)))]
    count, said = threads(*one_core)
    assert count == 1
    assert "the launcher binds 2 ranks to 1 core, and" in said and "--bind-to none" in said
    assert threads(*one_core, arguments=["--threads", "1"]) == (1, "")
    unbound = mpirun(2, "--bind", "none")
    count, said = threads(*unbound)
    assert count == max(1, CORES // 2) and said == ""
    said = threads(*unbound, OMP_PROC_BIND="true")[1]
    assert "OMP_PROC_BIND binds the threads of 2 ranks to the same cores" in said
