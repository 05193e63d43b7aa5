"""launch/train: the same numbers on any ranks, after any interruption; the file that it writes, and its page."""

import os
import pathlib
import re
import subprocess
import sys
import time

import h5py
import numpy
import pytest

import annulus

ROOT = pathlib.Path(os.environ["ANNULUS_SOURCE"])
CONFIG = """\
layers = 1
width = 16
heads = 2
length = 131
sequences = 2
steps = 12
learning_rate = 1e-2
needles = 2
seeds = [1, 2]
evaluate_lengths = [1, 3]
evaluate_sequences = 1
checkpoint_seconds = 0

[[scales]]
name = "constant"
logit_scale = "none"
gain = 1.0

[[scales]]
name = "critical"
logit_scale = "critical:base=rsqrt_d"
gain = 0.2
"""


def start(ranks, config, output, *options):
    environment = dict(os.environ, ANNULUS_PYTHON=sys.executable)
    return subprocess.Popen([ROOT / "launch" / "mpirun", "--quiet", str(ranks), sys.executable,
                             ROOT / "src" / "training", config, "--output", output, *options],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                            start_new_session=True)


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def read(folder):
    with h5py.File(folder / "results.h5") as file:
        return {name: file[name][...] for name in file if file[name].dtype.kind == "f"}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("training") / "tiny.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="module")
def finished(config):
    """The folder of a run on two ranks that nobody disturbed."""
    code, out, err = finish(start(2, config, config.parent / "two"))
    assert code == 0 and out.count("loss") == 4, err
    return config.parent / "two"


def test_losses_fall_and_nothing_is_missing(finished):
    data = read(finished)
    assert data["training_loss"].shape == (2, 2, 12)
    assert (data["training_loss"][..., -1] < data["training_loss"][..., 0] - 0.5).all()
    assert data["loss"].shape == (2, 2, 2, 16) and data["entropy"].shape == (2, 2, 2, 1, 2)
    assert all(numpy.isfinite(values).all() for values in data.values())
    # No query sees more keys than there are.
    assert (numpy.exp(data["entropy"]) < numpy.array([131, 393])[:, None, None]).all()


@pytest.mark.parametrize("ranks", [1, 3])
def test_any_ranks_to_rounding(config, finished, ranks, tmp_path):
    """Steps multiply roundings of fp32: over these few by no more than this."""
    code, _, err = finish(start(ranks, config, tmp_path / "other"))
    assert code == 0, err
    for name, values in read(tmp_path / "other").items():
        if not name.startswith("needle"):  # bytes that are found or not
            numpy.testing.assert_allclose(values, read(finished)[name], rtol=2e-4, atol=2e-4, err_msg=name)
    far = abs(read(tmp_path / "other")["training_loss"] / read(finished)["training_loss"] - 1)
    eps = numpy.finfo(numpy.float32).eps
    assert far[..., 0].max() < 16 * eps  # the width: terms of a product
    assert far.max() < 131 * eps         # the length: terms of a gradient, which later losses depend on


def test_killed_and_continued_to_the_last_bit(config, finished, tmp_path):
    folder = tmp_path / "killed"
    process = start(2, config, folder)
    # In the middle of the second run.
    while not (folder / "constant-1.pt").exists() or not (folder / "checkpoint.pt").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.terminate()  # mpirun, which kills its ranks
    process.communicate()
    code, out, err = finish(start(2, config, folder))
    assert code == 0 and out.count("loss") == 4, err
    expected = read(finished)
    for name, values in read(folder).items():
        assert (values == expected[name]).all(), name
    assert not (folder / "checkpoint.pt").exists()


def test_what_is_there_is_not_done_again(config, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.glob("*-?.pt")}
    code, _, err = finish(start(2, config, finished))
    assert code == 0, err
    assert before == {path: path.stat().st_mtime_ns for path in finished.glob("*-?.pt")}


def test_the_report_is_one_page(finished, tmp_path):
    done = subprocess.run([os.environ["ANNULUS"], "report", finished / "results.h5", "--output", tmp_path],
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "index.html").read_text()
    assert page.count("<img") == 4 and "src=\"data:" in page and "http" not in page.replace("http://www.w3.org", "")
    assert "not finished" not in page and "PSF-2.0" in page


def test_the_file_is_a_dataset(finished):
    data = annulus.open(finished / "results.h5")
    assert data["loss"].dims == ("scale", "seed", "length", "part")
    assert data["scale"].values.tolist() == ["constant", "critical"]
    assert data["length"].values.tolist() == [131, 393]
    assert data.attrs["kind"] == "training" and data.attrs["ranks"] == 2


@pytest.mark.parametrize("change, message", [
    (("steps = 12", "step = 12"), "step: unknown; expected layers"),
    (("steps = 12", ""), "steps: missing"),
    (("steps = 12", "steps = 1.5"), "steps: 1.5; expected int"),
    (("width = 16", "width = 15"), "width: 15; expected a multiple of heads, 2"),
    (("needles = 2", "needles = 9"), "needles: 9"),
    (("gain = 1.0", "gain = 'one'"), "gain: 'one'; expected float"),
    (("layers = 1", "layers ="), "Invalid value"),
])
def test_configurations_that_make_no_sense(change, message, tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(CONFIG.replace(*change))
    code, _, err = finish(start(2, path, tmp_path / "out"))
    assert code == 2 and message in err, err
    assert not (tmp_path / "out").exists()


def test_another_configuration_is_refused(config, finished, tmp_path):
    path = tmp_path / "other.toml"
    path.write_text(CONFIG.replace("steps = 12", "steps = 13"))
    code, _, err = finish(start(2, path, finished))
    assert code == 2 and "runs of another configuration; expected a new folder, or --overwrite" in err
    assert read(finished)["training_loss"].shape == (2, 2, 12)


@pytest.mark.parametrize("name", ["ten-minutes", "gpu"])
def test_the_configurations_that_come_along(name):
    sys.path.insert(0, str(ROOT / "src" / "training"))
    from config import read_config
    config = read_config(ROOT / "configs" / "training" / f"{name}.toml")
    assert [scale.name for scale in config.scales] == ["constant", "SSMax", "critical"]
    assert len(config.seeds) == 3 and config.length >= 2048


def test_the_model_for_gpus_takes_steps(tmp_path):
    """As large as it is, over a sequence that is not, with the rate that it has after five steps of 5000."""
    text = (ROOT / "configs" / "training" / "gpu.toml").read_text()
    for key, value in dict(length=131, sequences=1, steps=3, learning_rate=1e-5, needles=1, seeds="[1]",
                           evaluate_lengths="[1]", evaluate_sequences=1).items():
        text, found = re.subn(rf"^{key} = .*", f"{key} = {value}", text, flags=re.MULTILINE)
        assert found == 1, key
    (tmp_path / "short.toml").write_text(text)
    code, out, err = finish(start(2, tmp_path / "short.toml", tmp_path / "out"))
    assert code == 0 and out.count("loss") == 3, err
    data = read(tmp_path / "out")
    assert all(numpy.isfinite(values).all() for values in data.values())
    assert (data["training_loss"][..., -1] < data["training_loss"][..., 0]).all()
