"""launch/gpu_check and its table. Nothing here needs a GPU, or builds anything."""

import json
import os
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


@pytest.mark.parametrize(
    "arguments, says", [(["--quickly"], "--quickly"), (["--build-only", "--run-only"], "nothing")])
def test_arguments(arguments, says):
    finished = gpu_check(*arguments)
    assert finished.returncode == 2 and says in finished.stderr


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


def test_the_path_for_hopper_has_lines_of_its_own(folder):
    kernel = json.loads((folder / "kernel.json").read_text())
    kernel["rows"] = [row(seconds=0.5e-3)]
    (folder / "kernel-hopper.json").write_text(json.dumps(kernel))
    code, text = table(folder)
    assert code == 0
    assert line(text, "bf16 d = 128 full forward, hopper: TFLOP/s") == ["2000.0"]
    assert line(text, "bf16 d = 128 full forward: TFLOP/s") == ["1000.0"]
    assert line(text, "bf16 d = 128 full forward, hopper: speed in that of PyTorch's flash") == [
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
