"""The scripts of bench/, on rows that are known. Nothing here depends on how fast a machine is."""

import ctypes
import json
import re
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import annulus_c

ROW = {
    "n_q": 64, "n_k": 64, "heads": 4, "key_heads": 2, "head_dim": 16, "value_dim": 16,
    "documents": 1, "mask": "full", "precision": "fp32", "ranks": 1, "threads": 1,
    "pass": "forward", "statistics": "off", "schedule": "ring", "sharding": "contiguous",
    "repetitions": 3, "seconds": 1.0, "seconds_min": 0.8, "seconds_max": 2.0, "flops": 1e9,
    "flops_per_second": 1e9, "peak_flops_per_second": 2e9, "fraction_of_peak": 0.5,
    "gemm_flops_per_second": 1.6e9, "fraction_of_gemm": 0.625, "exposed_seconds": 0.0,
    "bytes_sent": 0, "verdict": "VALID",
}


def ratios(*paths):
    return subprocess.run([ROOT / "bench" / "ratios", *paths], capture_output=True, text=True,
                          check=False)


def written(path, *rows, backend="cpu", transport="self"):
    content = {"backend": backend, "transport": transport, "rows": [{**ROW, **row} for row in rows]}
    path.write_text(json.dumps(content))
    return path


def numbers_below(title, text):
    """The last two cells of the lines of a table."""
    lines = text[text.index(title):].split("\n\n")[0].splitlines()[2:]
    return [re.split(r"  +", line.strip())[-2:] for line in lines]


def test_ratios(tmp_path):
    finished = ratios(written(
        tmp_path / "kernel.json",
        {},
        {"statistics": "on", "seconds": 1.05, "seconds_min": 0.88},
        {"precision": "bf16", "seconds": 0.5, "seconds_min": 0.5},
        {"mask": "causal", "seconds": 0.55, "seconds_min": 0.4},
        {"mask": "causal", "head_dim": 32},  # has no full beside it
    ))
    assert finished.returncode == 0, finished.stderr
    assert numbers_below("time with statistics", finished.stdout) == [["1.050", "1.100"]]
    assert numbers_below("speed of bf16", finished.stdout) == [["2.000", "1.600"]]
    assert numbers_below("time of causal", finished.stdout) == [["0.550", "0.500"]]
    assert numbers_below("fraction of the peak", finished.stdout) == [["0.500", "0.625"]] * 5
    assert "speed of fp64" not in finished.stdout and "ranks of one thread" not in finished.stdout


def test_ranks_and_threads(tmp_path):
    two = {"ranks": 2, "sharding": "zigzag", "seconds": 0.5, "seconds_min": 0.5,
           "exposed_seconds": 2e-6}
    finished = ratios(
        written(tmp_path / "ranks-1.json", two, transport="mpi"),
        written(tmp_path / "ranks-2.json", {**two, "seconds": 0.7}, transport="mpi"),
        written(tmp_path / "ranks-3.json", {**two, "seconds": 9.0}, transport="mpi"),
        # Runs over another transport are others.
        written(tmp_path / "in-process.json", {**two, "seconds": 0.9}, transport="threads"),
        written(tmp_path / "threads.json", {"threads": 2, "seconds": 0.63, "seconds_min": 0.45}),
    )
    assert finished.returncode == 0, finished.stderr
    speed = numbers_below("speed of P ranks", finished.stdout)
    assert speed == [["0.900", "0.900"], ["0.700", "0.900"]]  # of the median run
    assert numbers_below("exposed communication", finished.stdout) == [["2.0 us", "0.000003"],
                                                                       ["2.0 us", "0.000002"]]


def test_rows_of_another_backend_are_not_compared(tmp_path):
    finished = ratios(written(tmp_path / "a.json", {}),
                      written(tmp_path / "b.json", {"mask": "causal"}, backend="reference"))
    assert finished.returncode == 0 and "time of causal" not in finished.stdout


def test_what_is_wrong_shows(tmp_path):
    nothing = dict.fromkeys(("seconds", "seconds_min", "seconds_max", "flops_per_second",
                             "fraction_of_peak", "fraction_of_gemm", "exposed_seconds"))
    finished = ratios(written(tmp_path / "a.json", {},
                              {"precision": "bf16", "verdict": "INVALID", **nothing}))
    assert finished.returncode == 1
    assert "INVALID: 1 of 2 rows" in finished.stdout
    assert numbers_below("speed of bf16", finished.stdout) == [["-", "-"]]


def test_reads_what_bench_writes(annulus, tmp_path):
    options = ["--length", 64, "--head-dim", 16, "--repetitions", 1]
    runs = {
        "kernel": ["kernel", *options, "--precision", "fp32,bf16"],
        "strong": ["strong", *options, "--transport", "threads:2", "--threads", 1],
        "decode": ["decode", "--length", 64, "--tokens", 1],
    }
    paths = []
    for name, arguments in runs.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(annulus.ok("bench", *arguments, "--json").out)
    finished = ratios(*paths)
    assert finished.returncode == 0, finished.stderr
    for title in ("fraction of the peak", "speed of bf16", "exposed communication", "decode"):
        assert title in finished.stdout


def test_refuses_what_is_no_measurement(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text('{"ranks": []}')
    for arguments in ([], [tmp_path / "nowhere.json"], [path]):
        finished = ratios(*arguments)
        assert finished.returncode == 2
        assert re.match("(usage: )?bench/ratios", finished.stderr) and not finished.stdout


@pytest.mark.parametrize(
    "options, says",
    [
        (["--threads", "0"], "--threads"),
        (["--mask", "window:3"], "--mask.*full,causal"),
        (["--precision", "fp32,fp8"], "--precision.*fp32,bf16"),
        (["--length", "64,-1"], "--length"),
        (["--head-dim", "x"], "--head-dim"),
        (["--repetitions", "0"], "--repetitions"),
        (["--colour", "red"], "--colour"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_peers_refuses_before_it_installs(tmp_path, options, says):
    environment = tmp_path / "environment"
    finished = subprocess.run(
        [ROOT / "bench" / "peers", "--environment", environment, *options],
        capture_output=True, text=True, check=False,
    )
    assert finished.returncode == 2 and re.search(says, finished.stderr)
    assert not environment.exists()


@pytest.mark.parametrize("struct, type_name", [("annulus_problem", "Problem"),
                                               ("annulus_options", "Options"),
                                               ("annulus_statistic", "Statistic"),
                                               ("annulus_outputs", "Outputs")])
def test_structs_are_those_of_the_header(struct, type_name):
    """bench/peers calls the C interface: the fields must lie where the library looks for them."""
    ctypes_of = {"int64_t": ctypes.c_int64, "int": ctypes.c_int, "void*": ctypes.c_void_p,
                 "const char*": ctypes.c_char_p, "const int64_t*": ctypes.POINTER(ctypes.c_int64),
                 "const annulus_statistic*": ctypes.POINTER(annulus_c.Statistic)}
    header = (ROOT / "include" / "annulus" / "annulus.h").read_text()
    body = re.search(rf"typedef struct {struct} {{(.*?)}} {struct};", header, re.DOTALL)[1]
    fields = re.findall(r"^\s*([\w ]+?\*?)\s+(\w+);", body, re.MULTILINE)
    assert getattr(annulus_c, type_name)._fields_ == [
        (name, ctypes_of[type_]) for type_, name in fields]
