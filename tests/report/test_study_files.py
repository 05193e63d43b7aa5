"""The closed forms that the other tests draw, against published values."""

import numpy
import pytest

from study_files import clustered, gradient_norm, simplex


@pytest.mark.parametrize("n, gamma, p, cosine", [
    (1024, 1.5, .1503458712, .978154381), (65536, 2, .5000038147, .8000042725),
    (1048576, 3, .9990243912, .5004880433)])
def test_simplex(n, gamma, p, cosine):
    values = simplex(n, 0.5, gamma)
    assert values["self_probability"] == pytest.approx(p, rel=1e-9)
    assert values["output_cosine"] == pytest.approx(cosine, rel=1e-9)


def test_entropy_at_criticality():
    assert numpy.exp(simplex(1024, 0.5, 2)["entropy"]) == pytest.approx(63.86053739, rel=1e-9)


def test_gradient_norm():
    assert gradient_norm(6, 0.5, 2, 9) == pytest.approx(.4572022847, rel=1e-9)
    assert gradient_norm(8, 0.5, 4, 9) == pytest.approx(.8602835994, rel=1e-9)


def test_clustered():
    mass = 1024 * clustered(65536, 0.5, 0.75, 64)["self_probability"]
    assert mass == pytest.approx(.5039370079, rel=1e-9)
