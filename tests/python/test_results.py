"""Studies, and results files as datasets of xarray."""

import subprocess
import sys

import h5py
import numpy
import pytest

import annulus

CONFIG = """\
kind = "phase"
tokens = "gaussian"
n = [64]
rho = [0.25, 0.5]
gamma = [1.0, 2.0, 4.0]
dimension = 8
seed = 1
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "phase.toml"
    path.write_text(CONFIG)
    return path


def test_a_study(config, tmp_path):
    output, seen = tmp_path / "phase.h5", []
    annulus.run_study(config, output, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (6, 6)
    data = annulus.open(output)
    assert dict(data.sizes) == {"n": 1, "rho": 2, "gamma": 3}
    assert numpy.isfinite(data.contraction).all()
    assert data.attrs["annulus_version"] == annulus.__version__ and data.attrs["kind"] == "phase"
    with pytest.raises(annulus.InputError, match=r"exists|phase\.h5"):
        annulus.run_study(config, output)
    annulus.run_study(config, output, resume=True)


def test_a_study_that_is_interrupted_goes_on(config, tmp_path):
    output = tmp_path / "phase.h5"

    def stop(done, total):
        if done == 2:
            raise RuntimeError("enough")
    with pytest.raises(RuntimeError, match="enough"):
        annulus.run_study(config, output, progress=stop)
    assert int(numpy.isfinite(annulus.open(output).contraction).sum()) == 2
    annulus.run_study(config, output, resume=True)
    assert numpy.isfinite(annulus.open(output).contraction).all()


def test_a_config_with_an_unknown_key_is_refused(config, tmp_path):
    config.write_text(CONFIG + "colour = 3\n")
    with pytest.raises(annulus.InputError, match="colour"):
        annulus.run_study(config, tmp_path / "phase.h5")


def test_the_output_of_attend(tmp_path):
    with h5py.File(tmp_path / "in.h5", "w") as file:
        for name in "qkv":
            file[name] = numpy.ones((7, 2, 4))
    subprocess.run([sys.executable, "-m", "annulus", "attend", tmp_path / "in.h5", "--output",
                    tmp_path / "out.h5", "--statistics"], check=True, capture_output=True)
    data = annulus.open(tmp_path / "out.h5")
    assert data.out.dims == ("query", "head", "value_dim") and (data.out == 1).all()
    assert data.entropy.dims == ("query", "head")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(annulus.InputError, match="no such file"):
        annulus.open(tmp_path / "nothing.h5")
    (tmp_path / "text.h5").write_text("text")
    with pytest.raises(annulus.InputError, match="cannot be read as an HDF5 file"):
        annulus.open(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(annulus.InputError, match="neither the results of a study nor"):
        annulus.open(tmp_path / "other.h5")
