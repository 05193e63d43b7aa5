"""launch/gpu_check and its table. Nothing here needs a GPU, or builds anything."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

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

    NOTHING_MEASURED = json.dumps({"rows": [], "outputs": [], "device": "A GPU", "compute_capability": "9.0",
                                   "backend": "cuda", "blas": "none"})

    def __init__(self, folder):
        self.folder = folder
        for name in ("launch/gpu_check", "bench/gpu_table.py"):
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
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
        status = (self.folder / "build-gpu" / "gpu_check" / "status").read_text().splitlines()
        return finished, dict(line.rsplit(" ", 1) for line in status)


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
    assert status["bench kernel"] == "0"


def test_what_does_not_fit_in_time_is_not_run(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/tests/test_gpu", "exec sleep 50")
    finished, status = machine.run("--seconds", "2")
    assert "ended after 2 s" in finished.stdout
    assert status["tests"] == "124" and status["bench kernel"] == "-"
    assert "bench kernel: not run, the 2 s are over" in finished.stdout


def test_what_a_library_is_missing_for_is_not_run(tmp_path):
    machine = FakeMachine(tmp_path)
    machine.program("build-gpu/bin/annulus", f"""case "$*" in
  *nccl*) echo "annulus verify: --transport: libnccl.so.2 cannot be loaded" >&2; exit 2 ;; esac
echo '{machine.NOTHING_MEASURED}'""")
    finished, status = machine.run()
    assert status["verify over NCCL, one rank"] == "-" and status["tests, hopper"] == "0"
    assert "verify over NCCL, one rank: not run, annulus verify: --transport: libnccl" in finished.stdout


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

    write("status", "tests 0\ncompute-sanitizer memcheck -\n")
    write("kernel.json", {
        "device": "A GPU", "compute_capability": "9.0", "backend": "cuda", "blas": "cuBLAS 13.1.0",
        "rows": [row(), row(statistics="on", seconds=1.2e-3), row(mask=CAUSAL, seconds=None)],
    })
    write("ring-full.json", {"rows": [row(), row(ranks=8, seconds=1.04e-3)]})
    write("peers.json", {
        "torch": "2.9", "rows": [{**row(seconds=0.9e-3), "backend": "flash"}],
        "errors": [{"backend": "flash", "precision": "bf16", "mask": FULL, "head_dim": 128,
                    "out": 1e-3, "dq": 1e-3, "dk": 1e-3, "dv": 1e-3}],
    })
    write("verify-bf16-full.json", {"outputs": [{"output": "out", "error": 5e-4},
                                                {"output": "dq", "error": 3e-3}]})
    return tmp_path


def test_table(folder):
    code, text = table(folder)
    assert code == 0 and text.startswith("A GPU, compute capability 9.0, backend cuda")
    forward = "bf16 d = 128 full forward: "
    assert line(text, "tests") == ["exit", "code", "0", "0", "passed"]
    assert line(text, "compute-sanitizer memcheck")[-2:] == ["not", "run"]
    assert line(text, forward + "TFLOP/s") == ["1000.0"]
    assert line(text, forward + "speed in that of PyTorch's flash") == [
        "0.900", ">=", "0.950", "MISSED"]
    assert line(text, forward + "cost of statistics") == ["0.200", "<=", "0.100", "MISSED"]
    assert line(text, "bf16 d = 128 full: cost of a ring of 8 on one GPU") == [
        "0.040", "<=", "0.050", "met"]
    assert line(text, "bf16 d = 128 full: error of out in PyTorch's") == [
        "0.500", "<=", "2.000", "met"]
    assert line(text, "bf16 d = 128 full: error of dq in PyTorch's")[-1] == "MISSED"
    assert line(text, "bf16 d = 128 full: error of dv in PyTorch's")[-1] == "measured"
    assert line(text, "bf16 d = 128 causal forward: TFLOP/s")[-1] == "measured"
    assert line(text, "copies on the device, GB/s") == ["3000"]


@pytest.mark.parametrize("path", ["hopper", "cudnn"])
def test_other_kernels_have_lines_of_their_own(folder, path):
    kernel = json.loads((folder / "kernel.json").read_text())
    kernel["rows"] = [row(seconds=0.5e-3)]
    (folder / f"kernel-{path}.json").write_text(json.dumps(kernel))
    code, text = table(folder)
    assert code == 0
    assert line(text, f"bf16 d = 128 full forward, {path}: TFLOP/s") == ["2000.0"]
    assert line(text, "bf16 d = 128 full forward: TFLOP/s") == ["1000.0"]
    assert line(text, f"bf16 d = 128 full forward, {path}: speed in that of PyTorch's flash") == [
        "1.800", ">=", "0.950", "met"]
    assert line(text, "copies on the device, GB/s") == ["3000"]


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
    ("kernel.json", {"rows": [{}]}),
    ("kernel.json", [1]),
    ("kernel.json", {"rows": None}),
    ("peers.json", {"rows": []}),
    ("verify-bf16-full.json", {"outputs": [{}]}),
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
