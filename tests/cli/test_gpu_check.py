"""launch/gpu_check and its table. Nothing here needs a GPU, or builds anything."""

import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, ROOT

FULL, CAUSAL = "full", "causal"


def gpu_check(*arguments):
    return subprocess.run([ROOT / "launch" / "gpu_check", *arguments], capture_output=True, text=True,
                          env=dict(os.environ, CUDA_VISIBLE_DEVICES=""), timeout=60, check=False)


@pytest.mark.parametrize("arguments", [[], ["--run-only"]])
def test_without_a_gpu_it_says_so_before_it_builds(arguments):
    finished = gpu_check(*arguments)
    assert finished.returncode == 2
    assert "no GPU" in finished.stderr and "CUDA_VISIBLE_DEVICES" in finished.stderr
    assert finished.stdout == ""


@pytest.mark.parametrize("arguments, says", [
    (["--quickly"], "--quickly"), (["--build-only", "--run-only"], "nothing"),
    (["--seconds"], "--seconds ''"), (["--step-seconds", "0"], "--step-seconds '0'"),
    (["--seconds", "1.5"], "'1.5'")])
def test_arguments(arguments, says):
    finished = gpu_check(*arguments)
    assert finished.returncode == 2 and says in finished.stderr


class FakeMachine:
    """A copy of what runs on a machine with a GPU, with programs that are scripts."""

    NOTHING_MEASURED = json.dumps({"rows": [], "outputs": [{"output": "out", "error": 0, "verdict": "VALID"}],
                                   "gpus": [{"compute_capability": "9.0"}], "device": "A GPU",
                                   "compute_capability": "9.0", "backend": "cuda", "blas": "none"})

    def __init__(self, folder):
        self.folder = folder
        for name in ("launch/gpu_check", "bench/gpu_table.py", "bench/gpu_verify.py"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.program("bench/gpu_peers.py", "")
        self.program("nvidia-smi", "echo 'GPU 0: one'")
        self.program("python3", f'case "$1" in -c) exit 1 ;; esac; exec {sys.executable} "$@"')
        self.program("compute-sanitizer", "exit 0")
        self.program("build-gpu/tests/test_gpu", "echo '[ RUN      ] Streams.One'")
        self.program("build-gpu/bin/annulus", f"echo '{self.NOTHING_MEASURED}'")

    def program(self, name, body):
        path = self.folder / (name if "/" in name else f"bin/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def run(self, *arguments):
        environment = {name: value for name, value in os.environ.items()
                       if name != "CUDA_VISIBLE_DEVICES"}
        environment["PATH"] = f"{self.folder / 'bin'}:{environment['PATH']}"
        finished = subprocess.run([self.folder / "launch" / "gpu_check", "--run-only", *arguments],
                                  capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert not finished.stderr
        status = (self.folder / "build-gpu" / "gpu_check" / "status").read_text().splitlines()
        return finished, dict(line.rsplit(" ", 1) for line in status)

    def commands(self, name):
        """Makes a program that writes down how it is called; returns the file, a line for each call."""
        path = self.folder / f"commands-{name.rsplit('/', maxsplit=1)[-1]}"
        self.program(name, f"""[ "$ANNULUS_CUDA_SUMS" = ordered ] || set -- "$@" --in-any-order
echo "ANNULUS_CUDA=$ANNULUS_CUDA" "$@" >>{path}
echo '{self.NOTHING_MEASURED}'""")
        return path

    def with_torch(self):
        self.program("python3", f'''case "$1" in -c) exit 0 ;; bench/gpu_peers.py) echo torch; exit 0 ;; esac
exec {sys.executable} "$@"''')


def test_a_build_again_keeps_the_libraries_that_are_there(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("cmake", "exit 0")
    (tmp_path / "libone.so.1").write_text("one")
    (tmp_path / "libtwo.so.2").write_text("two")
    for where in (tmp_path, tmp_path / "build-gpu" / "bin" / ".." / "runtime"):
        machine.program("ldd", f"""echo 'libone.so.1 => {where}/libone.so.1 (0x1)'
echo 'libtwo.so.2 => {tmp_path}/libtwo.so.2 (0x2)'
echo 'libc.so.6 => /lib/libc.so.6 (0x3)'""")
        environment = dict(os.environ, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
        subprocess.run([tmp_path / "launch" / "gpu_check", "--build-only"], env=environment, timeout=60,
                       check=True)
        runtime = tmp_path / "build-gpu" / "runtime"
        assert sorted(path.name for path in runtime.iterdir()) == ["libone.so.1", "libtwo.so.2"]


def test_a_step_that_hangs_is_ended_with_the_name_of_its_test(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/tests/test_gpu",
                    "echo '[ RUN      ] Streams.One'; echo '[ RUN      ] Ring.Two'; exec sleep 50")
    finished, status = machine.run("--step-seconds", "1")
    assert "ended after 1 s, in the test Ring.Two" in finished.stdout
    assert status["tests"] == "124" and finished.returncode == 1
    assert status["bench kernel, mma"] == "0"


def test_what_does_not_fit_in_time_is_not_run(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/tests/test_gpu", "exec sleep 50")
    finished, status = machine.run("--seconds", "2")
    assert re.search("ended after [12] s", finished.stdout)
    assert status["tests"] == "cut" and status["bench kernel, mma"] == "time"
    assert "bench kernel, mma: not run, 2 of the 2 s are over" in finished.stdout
    assert "left out or cut short for time: tests; tests, hopper; " in finished.stdout
    assert line(finished.stdout, "tests")[-4:] == ["CUT", "SHORT", "for", "time"]
    assert line(finished.stdout, "bench decode")[-4:] == ["LEFT", "OUT", "for", "time"]


# What finds out whether a library is there takes no more than a step either.
def test_short_runs_are_ended_in_time(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/bin/annulus", f"""case "$ANNULUS_CUDA $*" in
  *--backend*cudnn*|*nccl*|hopper*) exec sleep 50 ;; esac
echo '{machine.NOTHING_MEASURED}'""")
    started = time.monotonic()
    finished, status = machine.run("--step-seconds", "1", "--seconds", "20")
    assert time.monotonic() - started < 30
    # What hangs in a short run is not tried again.
    for name in ("the kernels for Hopper", "cuDNN", "NCCL"):
        assert status[name] == "124"
    assert not any("hopper" in name or name.startswith("tests, cuDNN") for name in status)
    assert status["tests"] == "0" and finished.returncode == 1
    machine.program("build-gpu/tests/test_gpu", "exec sleep 50")
    started = time.monotonic()
    machine.run("--seconds", "3")
    assert time.monotonic() - started < 20


def test_a_short_run_is_killed_that_does_not_end(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/bin/annulus", f"""[ "$ANNULUS_CUDA" != hopper ] ||
  {{ trap '' TERM; sleep 50; sleep 50; }}
echo '{machine.NOTHING_MEASURED}'""")
    finished, status = machine.run("--step-seconds", "1")
    assert status["the kernels for Hopper"] == "137" and finished.returncode == 1
    assert status["tests"] == "0"


# What matters most is first: when time is over, the last are left out.
def test_results_come_first_and_then_sanitizers_and_targets(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.with_torch()
    finished, status = machine.run()
    assert finished.returncode == 0
    assert set(status.values()) == {"0"}
    rings = ("full-forward", "causal-forward", "causal-backward")
    assert list(status) == [
        "tests", "tests, hopper", "tests, cuDNN", "verify, mma", "verify, hopper", "verify, cudnn",
        "verify over NCCL, one rank",
        "compute-sanitizer memcheck, hopper", "compute-sanitizer racecheck, hopper",
        "compute-sanitizer memcheck, mma", "compute-sanitizer racecheck, mma",
        "compute-sanitizer memcheck, cudnn",
        "PyTorch", "bench kernel, hopper", "bench kernel, mma", "bench kernel, cuDNN",
        "bench kernel, cuDNN, unordered",
        *(f"ring of 8, mma, {of}" for of in rings), "bench decode",
        *(f"ring of 8, hopper, {of}" for of in rings),
        "bench kernel, hopper, unordered", "bench kernel, mma, unordered",
        "bench kernel, hopper, more", "bench kernel, cuDNN, more", "bench kernel, mma, more"]
    assert re.findall("^== (.*)", finished.stdout, re.MULTILINE) == list(status)
    assert "left out or cut short for time: nothing" in finished.stdout


# A third of the time is for figures, and half of a step is enough for a sanitizer: it is slow, not wrong.
def test_sanitizers_leave_time_for_figures(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("bench/gpu_verify.py", "#")
    machine.program("compute-sanitizer", "exec sleep 50")
    finished, status = machine.run("--seconds", "15", "--step-seconds", "5")
    assert status["compute-sanitizer memcheck, hopper"] == "cut"
    assert status["compute-sanitizer memcheck, cudnn"] == "time"
    assert "compute-sanitizer memcheck, cudnn: not run, 10 of the 15 s are over" in finished.stdout
    assert status["bench kernel, mma"] == status["bench decode"] == "0"
    assert finished.returncode == 0


def test_every_path_has_its_own_tests(tmp_path):
    machine = FakeMachine(tmp_path)
    tests = machine.commands("build-gpu/tests/test_gpu")
    sanitizer = machine.commands("compute-sanitizer")
    machine.run()
    mma, hopper, cudnn = (shlex.split(call) for call in tests.read_text().splitlines())
    assert mma[0] == cudnn[0] == "ANNULUS_CUDA=mma" and hopper[0] == "ANNULUS_CUDA=hopper"
    assert chosen(mma).isdisjoint(chosen(cudnn)) and chosen(hopper) < chosen(mma)
    assert not chosen(mma) or {"RingOnGpu.Gradients", "EitherPass.GroupedHeads/cuda_backward",
                               "BackwardKernel.LargeLogits/cuda"} <= chosen(hopper)
    calls = [shlex.split(call) for call in sanitizer.read_text().splitlines()]
    assert [(call[0], call[2]) for call in calls] == [
        ("ANNULUS_CUDA=hopper", "memcheck"), ("ANNULUS_CUDA=hopper", "racecheck"),
        ("ANNULUS_CUDA=mma", "memcheck"), ("ANNULUS_CUDA=mma", "racecheck"),
        ("ANNULUS_CUDA=mma", "memcheck")]
    for call in [mma, hopper, cudnn, *calls]:
        for pattern in call[-1].replace("--gtest_filter=", "").replace("-", "").split(":"):
            found = chosen([f"--gtest_filter={pattern}"])
            # Tests over NCCL are there where NCCL and a GPU are.
            assert found or not chosen(mma) or pattern in ("*Nccl*", "OnGpu/Transport*"), f"{pattern}: no such test"


def chosen(command):
    """The tests of a command for test_gpu; none where that is not built."""
    program = pathlib.Path(PROGRAM).parents[1] / "tests" / "test_gpu"
    if not program.exists():
        return set()
    listed = subprocess.run([program, "--gtest_list_tests", command[-1]], capture_output=True, text=True,
                            timeout=60, check=True).stdout
    names, suite = set(), ""
    for text in (text.partition("#")[0] for text in listed.splitlines()):
        if re.fullmatch(r"\S+\.\s*", text):
            suite = text.strip()
        elif text.startswith("  "):
            names.add(suite + text.strip())
    return names


# All that annulus is called with is what it can be called with.
def test_every_command_is_one(tmp_path):
    machine = FakeMachine(tmp_path)
    path = machine.commands("build-gpu/bin/annulus")
    machine.run()
    calls = {call for call in path.read_text().splitlines() if " info " not in call}
    assert len(calls) > 60
    in_any_order = {call for call in calls if "--in-any-order" in call}
    assert len(in_any_order) == 3 and all("--pass backward" in call for call in in_any_order)
    if json.loads(annulus_says("info", "--json").stdout)["cuda"] is None:
        pytest.skip("this build has no CUDA")
    for call in calls:
        variable, *arguments = shlex.split(call.replace("--in-any-order", ""))
        assert "cuda" in arguments
        finished = annulus_says(*arguments, ANNULUS_CUDA=variable.partition("=")[2])
        assert finished.returncode == 2 and "no GPU to compute on" in finished.stderr, call


def annulus_says(*arguments, **environment):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False,
                          env=dict(os.environ, **environment))


def test_what_a_library_is_missing_for_is_not_run(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/bin/annulus", f"""case "$*" in
  *nccl*) echo "annulus verify: --transport: libnccl.so.2 cannot be loaded" >&2; exit 2 ;; esac
echo '{machine.NOTHING_MEASURED}'""")
    finished, status = machine.run()
    assert status["NCCL"] == "-" and "verify over NCCL, one rank" not in status
    assert status["tests, hopper"] == "0"
    assert "NCCL: not run, annulus verify: --transport: libnccl" in finished.stdout


def test_without_the_kernels_for_hopper_they_are_not_run(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/bin/annulus", f"""[ "$ANNULUS_CUDA" != hopper ] ||
  {{ echo "annulus bench kernel: ANNULUS_CUDA=hopper: this GPU has compute capability 8.0" >&2; exit 2; }}
echo '{machine.NOTHING_MEASURED.replace("9.0", "8.0")}'""")
    finished, status = machine.run()
    assert status["the kernels for Hopper"] == "-" and finished.returncode == 0
    assert not any("hopper" in name for name in status)
    assert "\nhopper " not in finished.stdout and "\nmma forward" in finished.stdout


GRID = {"mma": 27, "hopper": 18, "cudnn": 8}


@pytest.mark.parametrize("path", GRID)
def test_grid_of_combinations(tmp_path, path):
    machine = FakeMachine(tmp_path)
    calls = machine.commands("build-gpu/bin/annulus")
    finished, content = grid(machine, path)
    assert finished.returncode == 0 and finished.stdout.endswith(f"{GRID[path]} of {GRID[path]} VALID\n")
    assert len(content["cases"]) == GRID[path]
    for call in calls.read_text().splitlines():
        assert call.startswith("ANNULUS_CUDA=" + ("hopper " if path == "hopper" else "mma "))
        assert ("--backend cudnn" in call) == (path == "cudnn")
    types = ["bf16", "fp16"] + (["fp32"] if path == "mma" else [])
    masks = ["full", "causal"] + ([] if path == "cudnn" else ["window:100,30"])
    compared = [(one["precision"], one["mask"], one["ranks"]) for one in content["cases"]
                if "--backward" in one["arguments"]]
    assert sorted(compared) == sorted(itertools.product(types, masks, (1, 3)))
    timed = [one for one in content["cases"] if "strong" in one["arguments"]]
    decoded = [one for one in content["cases"] if "--decode" in one["arguments"]]
    if path == "cudnn":
        assert not timed and not decoded
        return
    assert {(one["precision"], one["mask"], one["ranks"]) for one in timed} == {
        (precision, ",".join(masks), "1,3") for precision in types}
    assert {one["ranks"] for one in decoded} == {1, 3}
    assert {one["precision"] for one in decoded} == set(types)


@pytest.mark.parametrize("says, verdict", [
    ("echo '{\"outputs\": [{\"verdict\": \"INVALID\"}]}'", "INVALID"),
    ("echo 'no JSON'", "output that is not as expected (JSONDecodeError: "),
    ("echo '{\"rows\": []}'", "INVALID"),
    ("echo 'annulus: --mask: never' >&2; exit 2", "exit code 2: annulus: --mask: never"),
    ("exec sleep 50", "ended after 1 s")])
def test_grid_of_wrong_results(tmp_path, says, verdict):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/bin/annulus", f"""case "$*" in
  *--backward*--mask*causal*fp16*threads:3*) {says}; exit $? ;; esac
echo '{machine.NOTHING_MEASURED}'""")
    finished, content = grid(machine, "cudnn", "--seconds", "1")
    assert finished.returncode == 1 and "7 of 8 VALID" in finished.stdout
    (wrong,) = [one for one in content["cases"] if one["verdict"] != "VALID"]
    assert wrong["verdict"].startswith(verdict)
    assert wrong["name"] == "verify --backward, fp16, causal, P = 3"
    assert f"[  FAILED  ] {wrong['name']}: {wrong['verdict']}" in finished.stdout


def grid(machine, path, *arguments):
    output = machine.folder / "verify.json"
    finished = subprocess.run(
        [sys.executable, machine.folder / "bench" / "gpu_verify.py", "--path", path, "--output", output,
         "--annulus", machine.folder / "build-gpu" / "bin" / "annulus", *arguments],
        capture_output=True, text=True, timeout=60, check=False)
    assert not finished.stderr
    return finished, json.loads(output.read_text())


def row(**values):
    flops = 1e12
    seconds = values.get("seconds", 1e-3)
    return {"precision": "bf16", "head_dim": 128, "mask": FULL, "pass": "forward",
            "statistics": "off", "ranks": 1, "seconds": seconds, "flops": flops,
            "flops_per_second": seconds and flops / seconds, "fraction_of_gemm": 0.5,
            "copy_bytes_per_second": 3e12, **values}


def table(folder):
    """The exit code, and the figure, what is asked and the verdict of each check."""
    finished = subprocess.run([sys.executable, ROOT / "bench" / "gpu_table.py", folder],
                              capture_output=True, text=True, check=False)
    assert not finished.stderr
    return finished.returncode, finished.stdout


def line(text, check):
    (found,) = [line for line in text.splitlines() if line.startswith(check + "  ")]
    return found[len(check):].split()


@pytest.fixture
def folder(tmp_path):
    def write(name, content):
        (tmp_path / name).write_text(content if name == "status" else json.dumps(content))

    write("status", "tests 0\ncompute-sanitizer memcheck, mma -\nbench decode time\n")
    write("info.json", {"gpus": [{"compute_capability": "9.0"}]})
    write("kernel-mma.json", {
        "device": "A GPU", "compute_capability": "9.0", "backend": "cuda", "blas": "cuBLAS 13.1.0",
        "rows": [row(), row(statistics="on", seconds=1.2e-3), row(mask=CAUSAL, seconds=None)],
    })
    write("ring-mma-full-forward.json", {"rows": [row(), row(ranks=8, seconds=1.04e-3)]})
    write("decode.json", {"rows": [{"fraction_of_read_bandwidth": 0.81, "seconds": 160e-6}]})
    write("peers.json", {
        "torch": "2.9", "rows": [{**row(seconds=0.88e-3), "backend": "flash"},
                                 {**row(seconds=0.5e-3), "backend": "cudnn"}],
        "errors": [{"backend": backend, "precision": "bf16", "mask": FULL, "head_dim": 128,
                    "out": error, "dq": error, "dk": error, "dv": error}
                   for backend, error in (("flash", 1e-3), ("cudnn", 1e-4))],
    })
    write("verify-mma.json", {"cases": [compared(out=5e-4, dq=3e-3), compared(ranks=3, out=1)]})
    return tmp_path


def compared(verdict="VALID", ranks=1, **errors):
    return {"name": f"verify --backward, bf16, full, P = {ranks}", "verdict": verdict, "precision": "bf16",
            "mask": FULL, "ranks": ranks, "head_dim": 128, "arguments": ["verify", "--backward"],
            "outputs": [{"output": name, "error": error} for name, error in errors.items()]}


def test_table(folder):
    code, text = table(folder)
    assert code == 0 and text.startswith("A GPU, compute capability 9.0, cuBLAS 13.1.0, torch 2.9\n")
    assert line(text, "tests") == ["exit", "code", "0", "0", "passed"]
    assert line(text, "compute-sanitizer memcheck, mma")[-2:] == ["not", "run"]
    forward = "mma forward bf16 d = 128 full: "
    assert line(text, forward + "TFLOP/s") == ["1000.0", "-", "not", "asked"]
    assert line(text, forward + "speed in that of PyTorch's FlashAttention 2") == [
        "0.880", ">=", "0.900", "MISSED"]
    assert line(text, forward + "speed in that of PyTorch's cuDNN") == ["0.500", "-", "not", "asked"]
    assert line(text, forward + "cost of statistics") == ["0.200", "<=", "0.100", "MISSED"]
    ring = "time of a ring of 8 on one GPU in that of one rank"
    assert line(text, f"mma forward bf16 d = 128 full: {ring}") == ["1.040", "<=", "1.050", "met"]
    assert line(text, f"hopper backward bf16 d = 128 causal: {ring}")[-2:] == ["not", "measured"]
    assert line(text, "mma decode bf16, a token over 131072 keys, 32 heads on 8: bandwidth in that of a copy") == [
        "0.810", ">=", "0.800", "met"]
    error = "mma bf16 d = 128 full: error of {} in that of PyTorch's FlashAttention 2"
    assert line(text, error.format("out")) == ["0.500", "<=", "2.000", "met"]
    assert line(text, error.format("dq")) == ["3.000", "<=", "2.000", "MISSED"]
    assert line(text, error.format("dv"))[-2:] == ["not", "measured"]
    assert line(text, "mma forward bf16 d = 128 causal: TFLOP/s")[-2:] == ["not", "measured"]
    assert line(text, "copies on the device, GB/s") == ["3000", "-", "not", "asked"]
    # All that is asked has a line, measured or not: speeds, statistics, order, rings, decode and errors.
    asked = (4 + 2 + 8 + 8) + 2 * 4 + 3 * 4 + 2 * 3 + 1 + 3 * 16
    assert f"targets: 3 met, 3 missed, {asked - 6} not measured" in text
    assert text.endswith("left out or cut short for time: bench decode\n")


# What is asked, by path, and how its figure is named.
@pytest.mark.parametrize("path, which, head_dim, peer, least", [
    ("hopper", "forward", 64, "cudnn", 0.85), ("hopper", "forward", 128, "cudnn", 0.85),
    ("hopper", "backward", 128, "cudnn", 0.75),
    ("mma", "forward", 64, "flash", 0.90), ("mma", "forward", 128, "flash", 0.90),
    ("mma", "backward", 64, "flash", 0.85), ("mma", "backward", 128, "flash", 0.85),
    ("cudnn", "forward", 128, "cudnn", 0.95), ("cudnn", "backward", 128, "cudnn", 0.95),
    ("hopper", "backward", 64, "cudnn", None), ("hopper", "forward", 128, "flash", None),
    ("mma", "forward", 128, "cudnn", None), ("cudnn", "forward", 128, "flash", None)])
@pytest.mark.parametrize("mask", [FULL, CAUSAL])
def test_speed_is_asked_by_path(folder, path, which, head_dim, peer, least, mask):
    case = {"head_dim": head_dim, "mask": mask, "pass": which}
    peers = json.loads((folder / "peers.json").read_text())
    peers["rows"] = [{**row(seconds=1e-3, **case), "backend": peer}]
    (folder / "peers.json").write_text(json.dumps(peers))
    kernel = json.loads((folder / "kernel-mma.json").read_text())
    name = {"flash": "FlashAttention 2", "cudnn": "cuDNN"}[peer]
    # PyTorch lets cuDNN add gradients in any order.
    any_order = (path, which) == ("cudnn", "backward")
    check = (f"{path} {which} bf16 d = {head_dim} {mask}{' in any order' if any_order else ''}: "
             f"speed in that of PyTorch's {name}")
    for speed in ([0.5] if least is None else [least - 0.001, least + 0.001]):
        kernel["rows"] = [row(seconds=1e-3 / speed, **case)]
        (folder / f"kernel-{path}{'-unordered' if any_order else ''}.json").write_text(json.dumps(kernel))
        code, text = table(folder)
        verdict = ["-", "not", "asked"] if least is None else [
            ">=", f"{least:.3f}", "met" if speed > least else "MISSED"]
        assert code == 0 and line(text, check) == [f"{speed:.3f}", *verdict]


# In the order of tiles, beside any order.
@pytest.mark.parametrize("path", ["mma", "hopper", "cudnn"])
def test_what_order_costs_is_asked(folder, path):
    kernel = json.loads((folder / "kernel-mma.json").read_text())
    case = {"pass": "backward", "head_dim": 64}
    for name, seconds in (("", {FULL: 1.05e-3, CAUSAL: 0.6e-3}), ("-unordered", {FULL: 1e-3, CAUSAL: 0.5e-3})):
        kernel["rows"] = [row(**case, mask=mask, seconds=value) for mask, value in seconds.items()]
        (folder / f"kernel-{path}{name}.json").write_text(json.dumps(kernel))
    text = table(folder)[1]
    cost = path + " backward bf16 d = {} {}: time of sums in order in that of any order"
    assert line(text, cost.format(64, FULL)) == ["1.050", "<=", "1.100", "met"]
    assert line(text, cost.format(64, CAUSAL)) == ["1.200", "<=", "1.100", "MISSED"]
    assert line(text, cost.format(128, FULL))[-2:] == ["not", "measured"]


def test_nothing_is_asked_of_hopper_on_other_gpus(folder):
    (folder / "info.json").write_text(json.dumps({"gpus": [{"compute_capability": "8.0"}]}))
    text = table(folder)[1]
    assert "\nhopper " not in text and "\ncudnn forward" in text and "\nmma backward" in text
    (folder / "info.json").unlink()  # then the benchmarks say what the GPU is
    assert "\nhopper forward" in table(folder)[1]


@pytest.mark.parametrize("path", ["hopper", "cudnn"])
def test_other_kernels_have_lines_of_their_own(folder, path):
    kernel = json.loads((folder / "kernel-mma.json").read_text())
    kernel["rows"] = [row(seconds=0.5e-3)]
    (folder / f"kernel-{path}.json").write_text(json.dumps(kernel))
    kernel["rows"] = [row(seconds=2e-3, precision="fp16")]
    (folder / f"kernel-{path}-more.json").write_text(json.dumps(kernel))
    code, text = table(folder)
    assert code == 0
    assert line(text, f"{path} forward bf16 d = 128 full: TFLOP/s")[0] == "2000.0"
    assert line(text, f"{path} forward fp16 d = 128 full: TFLOP/s")[0] == "500.0"
    assert line(text, "mma forward bf16 d = 128 full: TFLOP/s")[0] == "1000.0"


# Beside the peer that its speed is compared with.
@pytest.mark.parametrize("path", ["hopper", "cudnn"])
def test_errors_of_every_path_are_judged(folder, path):
    (folder / f"verify-{path}.json").write_text(json.dumps({"cases": [compared(out=1.5e-4, dk=2.5e-4)]}))
    code, text = table(folder)
    error = path + " bf16 d = 128 full: error of {} in that of PyTorch's cuDNN"
    assert code == 0
    assert line(text, error.format("out")) == ["1.500", "<=", "2.000", "met"]
    assert line(text, error.format("dk")) == ["2.500", "<=", "2.000", "MISSED"]


def test_a_wrong_result_fails(folder):
    (folder / "verify-hopper.json").write_text(json.dumps({"cases": [compared("INVALID", 3), compared()]}))
    code, text = table(folder)
    assert code == 1
    assert line(text, "hopper: verify --backward, bf16, full, P = 3") == ["INVALID", "VALID", "FAILED"]
    assert "hopper: verify --backward, bf16, full, P = 1" not in text


def test_a_failed_test_fails(folder):
    (folder / "status").write_text("tests 1\n")
    code, text = table(folder)
    assert code == 1 and line(text, "tests")[-1] == "FAILED"


def test_nothing_measured(tmp_path):
    (tmp_path / "status").write_text("tests -\n")
    code, text = table(tmp_path)
    assert code == 0 and "not measured" in text and "met" not in text.split()


@pytest.mark.parametrize("name, content", [
    ("status", "nonsense\n"),
    ("status", "tests x\n"),
    ("kernel-mma.json", {"rows": [{}]}),
    ("kernel-mma.json", [1]),
    ("kernel-mma.json", {"rows": None}),
    ("peers.json", {"rows": []}),
    ("verify-hopper.json", {"cases": [{}]}),
    ("decode.json", {"rows": [{}]}),
    ("info.json", {"gpus": [{}]}),
])
def test_table_of_damaged_files(folder, name, content):
    (folder / name).write_text(content if name == "status" else json.dumps(content))
    refused_table(folder, "not as launch/gpu_check leaves them")


def test_table_of_nothing(tmp_path):
    refused_table(tmp_path, "status")
    refused_table(tmp_path / "missing", "status")


def refused_table(folder, says):
    finished = subprocess.run([sys.executable, ROOT / "bench" / "gpu_table.py", folder],
                              capture_output=True, text=True, check=False)
    assert finished.returncode == 2 and says in finished.stderr
    assert finished.stderr.count("\n") == 1 and not finished.stdout
