"""A wheel works where it was not built: the package, its types and its programs."""

import os
import subprocess
import sys

from conftest import ROOT

PROGRAM = """\
import annulus, numpy, pathlib
comm = annulus.comm.self()
x = numpy.ones((7, 1, 64), 'f4')
assert (annulus.RingAttention(annulus.make_plan(annulus.Problem(7), ranks=comm), comm).forward(x, x, x).out == 1).all()
print(annulus.__file__, annulus.__version__)
"""


def test_a_wheel(tmp_path):
    site = tmp_path / "site"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*command):
        done = subprocess.run([sys.executable, *map(str, command)], env=environment, cwd=tmp_path,
                              text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps", "--wheel-dir", tmp_path,
        "--config-settings=cmake.define.ANNULUS_CUDA=OFF", f"--config-settings=build-dir={tmp_path}/build",
        ROOT)
    wheel, = tmp_path.glob("*.whl")
    run("-m", "pip", "install", "--quiet", "--no-deps", "--target", site, wheel)
    (tmp_path / "build").rename(tmp_path / "gone")
    environment["PYTHONPATH"] = str(site)
    where, version = run("-c", PROGRAM).split()
    assert where.startswith(str(site))
    assert run("-m", "annulus", "--version").split()[1] == version
    for part in ("_core.pyi", "py.typed", "share/annulus/report/__main__.py"):
        assert (site / "annulus" / part).exists()
