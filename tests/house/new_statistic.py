"""A statistic that was added to a copy of the sources is there wherever the others are.

    python3 new_statistic.py BUILD_FOLDER

writes it by `annulus attend` and by the C interface of BUILD_FOLDER, and compares both with the
participation ratio, of which it is the logarithm.
"""

import re
import sys
from pathlib import Path

import h5py
import numpy as np

from commands import commands_for, run

NAME = "collision_entropy"
ROOT = Path(__file__).parents[2]


def expect_logarithm(of, participation, tolerance):
    assert np.allclose(of, np.log(participation), rtol=0, atol=tolerance)
    assert np.max(of) > 0.1


def check_attend():
    random = np.random.default_rng(3)
    with h5py.File("input.h5", "w") as file:
        for name in "qkv":
            file[name] = random.normal(size=(37, 2, 5))
    run("annulus", "attend", "input.h5", "--output", "output.h5", "--transport", "threads:3",
        "--mask", "causal", "--precision", "fp64", "--statistics")
    with h5py.File("output.h5") as file:
        statistics = file["statistics"]
        expect_logarithm(statistics[NAME], statistics["participation"], 1e-12)


def check_c(build):
    sys.path.insert(0, str(ROOT / "bench"))
    import annulus_c

    q, k, v = np.random.default_rng(3).normal(size=(3, 37, 2, 5)).astype(np.float32)
    out = np.zeros_like(q)
    written = {name: np.zeros((37, 2), np.float32) for name in (NAME, "participation")}
    attention = annulus_c.Attention(annulus_c.Library(build), n=37, heads=2, head_dim=5,
                                    mask="causal", precision="fp32", threads=1)
    attention.forward(*(tensor.ctypes.data for tensor in (q, k, v, out)), None,
                      **{name: numbers.ctypes.data for name, numbers in written.items()})
    expect_logarithm(written[NAME], written["participation"], 1e-6)


def check_gpu(copy, build, fresh, environment):
    """Compiles the kernels of GPUs for the model of one with the list of the copy; its tests compare
    every statistic with its definition."""
    commands = commands_for("tests/test_gpu_model", build)
    compile_it = next(command for command in commands
                      if command.endswith("/tests/kernels/cuda/model_launcher.cpp"))
    for pattern, replacement in ((rf"-I{re.escape(str(ROOT))}/(src|include)\b", rf"-I{copy}/\1"),
                                 (r"-MF \S+", "-MF model.d"), (r" -o \S+", " -o model.o")):
        compile_it, found = re.subn(pattern, replacement, compile_it)
        assert found, pattern
    run("sh", "-c", compile_it, cwd=fresh)
    link = next(command for command in commands if " -o tests/test_gpu_model " in command)
    run("sh", "-c", link.replace(" -o tests/test_gpu_model ", f" -o {fresh}/test {fresh}/model.o "),
        cwd=build)
    run(fresh / "test", "--gtest_filter=RingOnGpu.HeadsOfAnyDimension", env=environment)


def check(copy, build, fresh, environment):
    """In processes that load the libraries of `fresh`, as `environment` says."""
    assert NAME in run("annulus", "verify", "--length", "101", env=environment)
    run(sys.executable, "-B", __file__, build, cwd=fresh, env=environment)
    check_gpu(copy, build, fresh, environment)


if __name__ == "__main__":
    check_attend()
    check_c(sys.argv[1])
