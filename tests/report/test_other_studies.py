"""Pictures of needle, sphere and depth studies."""

import h5py
import numpy
import pytest

from study_files import write_study

GAMMA = numpy.linspace(0, 8, 17)


def labelled(figure, label):
    return [axis for axis in figure.axes if axis.get_ylabel() == label]


@pytest.mark.parametrize("finished", [None, 60])
def test_needle(draw, tmp_path, finished):
    path = write_study(tmp_path / "needle.h5", "needle", finished, n=[64, 256, 1024, 4096],
                       rho=[0.25, 0.5], gamma=GAMMA)
    figures = draw(path)
    assert list(figures) == ["against_gamma", "against_n"]
    axes = labelled(figures["against_gamma"], "weight of the needle")
    assert [axis.get_title() for axis in axes] == ["ρ = 0.25", "ρ = 0.5"]
    with h5py.File(path) as file:
        theory = file["needle/theory/output"][:, 0]
    for index in range(4):
        numpy.testing.assert_array_equal(axes[0].lines[2 * index].get_ydata(), theory[index])
    assert axes[0].lines[-1].get_xdata() == pytest.approx([4 / 3, 4 / 3])
    counted = "60 of 136 points" in "".join(item.get_text() for item in
                                            figures["against_n"].texts)
    assert counted == (finished is not None)


def test_needle_along_the_length_shows_the_strengths_around_the_transition(draw, tmp_path):
    path = write_study(tmp_path / "needle.h5", "needle", n=[64, 256, 1024, 4096], rho=[0.5],
                       gamma=GAMMA)
    labels = [item.get_text() for item in draw(path)["against_n"].legends[0].get_texts()]
    assert {label for label in labels if label.startswith("γ")} == {
        "γ = 1", "γ = 1.5", "γ = 2", "γ = 2.5", "γ = 3"}


def test_sphere_is_also_drawn_against_the_critical_order(draw, tmp_path):
    gamma = numpy.geomspace(0.1, 100, 13)
    path = write_study(tmp_path / "sphere.h5", "sphere", n=[64, 1024], gamma=gamma, dimension=8)
    figures = draw(path)
    assert list(figures) == ["against_gamma", "against_beta"]
    axis, = labelled(figures["against_beta"], "largest probability max p")
    assert axis.get_xscale() == "log"
    for line, n in zip(axis.lines[::2], (64, 1024)):
        numpy.testing.assert_allclose(line.get_xdata(), gamma * numpy.log(n) / n**(2 / 7))


def test_no_empty_difference_where_there_is_no_theory(draw, tmp_path):
    path = write_study(tmp_path / "sphere.h5", "sphere", n=[64, 1024], gamma=GAMMA[1:],
                       dimension=8)
    with h5py.File(path, "a") as file:
        for name in list(file["sphere/theory"]):
            if name != "alignment":
                del file["sphere/theory"][name]
    for figure in draw(path).values():
        assert len(labelled(figure, "measured\n− theory")) == len(
            labelled(figure, "mean of <query, output>"))
        for axis in figure.axes:
            assert len(axis.lines) > 1


def test_entropy_is_drawn_once(draw, tmp_path):
    path = write_study(tmp_path / "needle.h5", "needle", n=[64], rho=[0.5], gamma=GAMMA)
    with h5py.File(path, "a") as file:
        for name in ("entropy", "effective_keys"):
            if name not in file["needle"]:
                values = file["needle"].create_dataset(name, data=1 + file["needle/output"][...])
                for i, axis in enumerate(("n", "rho", "gamma")):
                    values.dims[i].attach_scale(file["needle"][axis])
    assert len(labelled(draw(path)["against_gamma"], "effective keys $e^H$")) == 1


def test_depth(draw, tmp_path):
    path = write_study(tmp_path / "depth.h5", "depth", 5, tokens="simplex", n=[1024, 1048576],
                       rho=[0.5], gamma=[1.5, 2.0, 3.0], layers=8)
    figure = draw(path)["against_layer"]
    axes = labelled(figure, "cosine of outputs")
    assert [axis.get_title() for axis in axes] == ["n = 1024", "n = 1048576"]
    for label in {axis.get_ylabel() for axis in figure.axes}:  # a pair is in one row
        tops = [axis.get_position().y1 for axis in labelled(figure, label)]
        assert tops[0::2] == pytest.approx(tops[1::2]), label
    critical = axes[1].lines[2].get_ydata()
    assert critical[1] == pytest.approx(0.8, abs=1e-6)
    assert critical[-1] == pytest.approx(1)
    assert numpy.isnan(axes[1].lines[5].get_ydata()).all()  # the sixth point is not finished
    numpy.testing.assert_array_equal(axes[0].lines[0].get_xdata(), numpy.arange(9))


def test_an_unknown_quantity_is_drawn_by_its_own_name(draw, tmp_path):
    path = write_study(tmp_path / "needle.h5", "needle", n=[64], rho=[0.5], gamma=GAMMA)
    with h5py.File(path, "a") as file:
        file.move("needle/output", "needle/margin")
        file["needle/margin"].attrs.update(long_name="margin of the needle", units="nat")
    assert labelled(draw(path)["against_gamma"], "margin of the needle [nat]")
