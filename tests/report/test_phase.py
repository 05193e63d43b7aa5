"""Pictures of phase studies: maps, critical line, curves beside theory."""

import math

import h5py
import numpy
import pytest

from phase import critical_gamma
from study_files import simplex, write_study

RHO, GAMMA = numpy.linspace(0.1, 0.9, 9), numpy.linspace(0, 8, 17)
GAUSSIAN = {"tokens": "gaussian", "n": [256], "rho": RHO, "gamma": GAMMA, "theory": False,
            "measure": ["gradient_norm"]}


def panels(figure):
    return [axis for axis in figure.axes if axis.get_xlabel().startswith("token")]


def text(figure):
    return "\n".join(item.get_text() for item in figure.texts)


def legend(figure):
    return [item.get_text() for item in figure.legends[0].get_texts()]


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    folder = tmp_path_factory.mktemp("phase")
    return [write_study(folder / f"phase-d{d}.h5", dimension=d, **GAUSSIAN) for d in (2, 32, 512)]


def test_three_files_are_three_panels(draw, three):
    figures = draw(*three)
    assert list(figures) == ["cosine", "contraction", "gradient_norm"]
    for figure in figures.values():
        assert [axis.get_title() for axis in panels(figure)] == [
            f"d = {d}, n = 256, gaussian tokens" for d in (2, 32, 512)]
        assert panels(figure)[0].get_ylabel() == "softmax strength γ (β = γ ln n)"
        assert {axis.get_xlabel() for axis in panels(figure)} == {"token correlation ρ"}
        assert legend(figure) == ["critical γ = 1/(1 − ρ)"]


def test_map_holds_the_values_of_the_file(draw, three):
    with h5py.File(three[0]) as file:
        cosine = file["phase/output_cosine"][0]
    axis = panels(draw(three[0])["cosine"])[0]
    mesh, = axis.collections
    numpy.testing.assert_array_equal(mesh.get_array().reshape(GAMMA.size, RHO.size), cosine.T)
    corners = mesh.get_coordinates()
    assert corners[0, 0] == pytest.approx([0.05, -0.25])
    assert corners[-1, -1] == pytest.approx([0.95, 8.25])


def test_cosine_maps_share_a_scale_and_gradient_maps_do_not(draw, three):
    figures = draw(*three)
    meshes = [axis.collections[0] for axis in panels(figures["cosine"])]
    assert len({(mesh.norm.vmin, mesh.norm.vmax) for mesh in meshes}) == 1
    assert len(figures["cosine"].axes) == 4
    assert len(figures["gradient_norm"].axes) == 6


def test_critical_line(draw, three):
    line, = panels(draw(three[0])["cosine"])[0].lines
    rho, gamma = line.get_data()
    numpy.testing.assert_allclose(gamma * (1 - rho), 1, rtol=1e-14)
    assert gamma[numpy.argmin(abs(rho - 0.875))] == pytest.approx(8)


def test_critical_gamma_of_clusters_is_that_of_their_directions(tmp_path):
    from results import read_results

    path = write_study(tmp_path / "c.h5", tokens="clustered", n=[65536], rho=[0.5], gamma=[1.0],
                       directions=64)
    value = critical_gamma(read_results(path, ["phase"]), 65536, 0.5)
    assert value == pytest.approx(math.log(64) / math.log(65536) / 0.5) == pytest.approx(0.75)


def test_unfinished_points_are_left_open_and_counted(draw, tmp_path):
    path = write_study(tmp_path / "part.h5", finished=40, dimension=32, **GAUSSIAN)
    figure = draw(path)["gradient_norm"]
    axis, = panels(figure)
    assert "40 of 153 points" in text(figure)
    assert axis.get_title().endswith("40 of 153 points")
    assert legend(figure)[1] == "not finished"
    assert axis.patch.get_hatch()
    assert numpy.ma.getmaskarray(axis.collections[0].get_array()).sum() == 153 - 40


def test_a_file_without_a_finished_point_is_drawn(draw, tmp_path):
    path = write_study(tmp_path / "none.h5", finished=0, dimension=32, **GAUSSIAN)
    assert "0 of 153 points" in text(draw(path)["gradient_norm"])


def test_values_below_a_logarithmic_scale_are_not_unfinished(draw, tmp_path):
    path = write_study(tmp_path / "zero.h5", dimension=32, **GAUSSIAN)
    with h5py.File(path, "a") as file:
        file["phase/gradient_norm"][0, 0, 0] = 0
    mesh = panels(draw(path)["gradient_norm"])[0].collections[0]
    assert not numpy.ma.getmaskarray(mesh.get_array()).any()


def test_curves_hold_measured_and_theory_of_the_file(draw, tmp_path):
    path = write_study(tmp_path / "s.h5", tokens="simplex", n=[64, 1024], rho=[0.25, 0.5],
                       gamma=GAMMA)
    figure = draw(path)["against_gamma"]
    with h5py.File(path) as file:
        measured, theory = (file[f"phase/{name}"][:, 1] for name in ("entropy", "theory/entropy"))
    axis, = [axis for axis in figure.axes if "effective keys" in axis.get_ylabel()]
    below = figure.axes[figure.axes.index(axis) + 1]
    assert axis.get_yscale() == "log"
    assert "ρ = 0.5" in text(figure)
    for index in range(2):
        line, markers = axis.lines[2 * index:2 * index + 2]
        numpy.testing.assert_array_equal(line.get_ydata(), numpy.exp(theory[index]))
        numpy.testing.assert_array_equal(markers.get_ydata(), numpy.exp(measured[index]))
        numpy.testing.assert_array_equal(line.get_xdata(), GAMMA)
        difference = numpy.exp(measured[index]) / numpy.exp(theory[index]) - 1
        numpy.testing.assert_allclose(below.lines[index].get_ydata(), difference, atol=1e-15)
    assert axis.lines[4].get_xdata() == pytest.approx([2, 2])
    assert "critical γ = 1/(1 − ρ)" in legend(figure)


def test_convergence_is_drawn_along_the_length(draw, tmp_path):
    n = [64, 128, 256, 512]
    path = write_study(tmp_path / "n.h5", tokens="simplex", n=n, rho=[0.5], gamma=[1.5, 2.0, 3.0])
    figures = draw(path)
    assert list(figures) == ["against_n"]
    axis, = [axis for axis in figures["against_n"].axes if axis.get_ylabel() == "cosine of outputs"]
    assert axis.get_xscale() == "log"
    numpy.testing.assert_allclose(axis.lines[2].get_ydata(),
                                  [simplex(length, 0.5, 2.0)["output_cosine"] for length in n])


def test_a_single_point_without_theory_is_drawn(draw, tmp_path):
    path = write_study(tmp_path / "one.h5", tokens="gaussian", n=[64], rho=[0.5], gamma=[2.0],
                       dimension=3, theory=False)
    assert list(draw(path)) == ["against_gamma"]


def test_files_of_curves_are_told_apart(draw, tmp_path):
    paths = [write_study(tmp_path / f"{m}.h5", tokens="clustered", n=[1024], rho=[0.5],
                         gamma=GAMMA, directions=m) for m in (16, 64)]
    labels = legend(draw(*paths)["against_gamma"])
    assert {"16 directions, clustered tokens, n = 1024",
            "64 directions, clustered tokens, n = 1024"} < set(labels)


def test_a_file_with_another_correlation_says_so(draw, tmp_path):
    paths = [write_study(tmp_path / f"{rho}.h5", tokens="simplex", n=[64], rho=[rho], gamma=GAMMA)
             for rho in (0.5, 0.25)]
    assert "simplex tokens, ρ = 0.25, n = 64" in legend(draw(*paths)["against_gamma"])


def test_maps_over_different_grids_keep_their_own_limits(draw, three, tmp_path):
    path = write_study(tmp_path / "half.h5", dimension=3, **GAUSSIAN | {"gamma": GAMMA[:9]})
    tops = [axis.get_ylim()[1] for axis in panels(draw(three[0], path)["cosine"])]
    assert tops == pytest.approx([8.25, 4.25])


def test_provenance(draw, three):
    footer = text(draw(*three)["cosine"])
    assert "annulus 0.1.0 · commit 0123456789 · config sha256" in footer
    assert "ranks 4" in footer


def test_no_text_is_smaller_than_eight_points(draw, three, tmp_path):
    path = write_study(tmp_path / "s.h5", tokens="simplex", n=[64], rho=RHO, gamma=GAMMA)
    for figure in [*draw(*three).values(), *draw(path).values()]:
        figure.canvas.draw()
        sizes = [item.get_fontsize() for item in figure.findobj(lambda item: hasattr(
            item, "get_fontsize")) if item.get_text()]
        assert min(sizes) >= 8
