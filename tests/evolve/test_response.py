"""The response model against exact posteriors by quadrature, and against what it must do in a Rasch world."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr

from personaproof.evolve.response import ResponseModel, filter_answer

GRID = np.linspace(-9, 9, 601)


def exact(mean: float, variance: float, difficulty: float, spread: float, success: bool) -> tuple[float, ...]:
    """Moments of the two strengths after one answer, by brute force on a grid."""
    theta, b = np.meshgrid(GRID, GRID, indexing="ij")
    log_prior = -((theta - mean) ** 2) / (2 * variance) - (b - difficulty) ** 2 / (2 * spread)
    weight = np.exp(log_prior - log_prior.max()) * ndtr((theta - b) * (1 if success else -1))
    weight /= weight.sum()
    moments = []
    for value in (theta, b):
        centre = float((weight * value).sum())
        moments += [centre, float((weight * (value - centre) ** 2).sum())]
    return tuple(moments)


@pytest.mark.parametrize("success", [True, False])
@pytest.mark.parametrize(
    ("mean", "variance", "difficulty", "spread"), [(0, 1, 0, 1), (-1, 2.2, 0.5, 0.3), (1, 0.2, -1, 1)]
)
def test_one_answer_gives_the_exact_moments(
    mean: float, variance: float, difficulty: float, spread: float, success: bool
) -> None:
    found = filter_answer(mean, variance, difficulty, spread, success)
    assert found == pytest.approx(exact(mean, variance, difficulty, spread, success), abs=2e-4)


@given(st.floats(-8, 8), st.floats(0.01, 9), st.floats(-8, 8), st.floats(0.01, 9), st.booleans())
def test_an_answer_narrows_and_moves_the_right_way(
    mean: float, variance: float, difficulty: float, spread: float, success: bool
) -> None:
    after, narrower, hardness, sharper = filter_answer(mean, variance, difficulty, spread, success)
    sign = 1 if success else -1
    assert (after - mean) * sign >= 0 >= (hardness - difficulty) * sign
    assert 0 < narrower <= variance
    assert 0 < sharper <= spread


def test_a_child_is_shrunk_from_its_parents_to_the_population() -> None:
    model = ResponseModel(1, mean=-1, variance=2, heritability=0.5, innovation=1)
    first, second = model.add(), model.add()
    model._means[:2], model._variances[:2] = (3, 1), (0.5, 0.7)
    assert model.prior((first,)) == pytest.approx((-1 + 0.5 * 4, 0.25 * 0.5 + 1))
    assert model.prior((first, second)) == pytest.approx((-1 + 0.5 * 3, 0.25 * 1.2 / 4 + 1))
    assert model.prior(()) == (-1, 2)


def test_credit_is_the_exact_gaussian_update_of_the_parent() -> None:
    """Parent x ~ N(m, v), child y = a x + c + e: what an observation of y does to x, by the joint Gaussian."""
    model = ResponseModel(1, mean=-1, variance=2, heritability=0.8, innovation=0.6)
    parent = model.add()
    model._means[0], model._variances[0] = 0.4, 1.3
    child = model.add((parent,))
    before = float(model.means[child]), float(model.variances[child])
    noise, z = 0.9, 2.5
    after_variance = 1 / (1 / before[1] + 1 / noise)
    after = after_variance * (before[0] / before[1] + z / noise), after_variance
    joint = np.array([[1.3, 0.8 * 1.3], [0.8 * 1.3, 0.64 * 1.3 + 0.36]])
    gain = joint[0, 1] / (joint[1, 1] + noise)
    model.credit((parent,), before, after)
    assert model.means[parent] == pytest.approx(0.4 + gain * (z - before[0]))
    assert model.variances[parent] == pytest.approx(1.3 - gain * joint[0, 1])


def test_expected_asr_and_information_in_closed_form() -> None:
    model = ResponseModel(2, spread=0.5)
    model.add()
    model._means[0], model._variances[0] = 0.7, 0.4
    model.difficulty[:] = (-1.0, 2.0)
    assert model.asr()[0] == pytest.approx(float(ndtr((0.7 - 0.5) / math.sqrt(1 + 0.4 + 0.5 + 2.25))))
    density = math.exp(-0.5 * 1.3**2) / math.sqrt(2 * math.pi)
    p = float(ndtr(-1.3))
    assert model.information(0.7)[1] == pytest.approx(density**2 / (p * (1 - p)))


def test_strengths_and_difficulties_are_recovered() -> None:
    rng = random.Random(1)
    strong = [rng.gauss(0, 1.2) for _ in range(150)]
    hard = [rng.gauss(0, 1) for _ in range(60)]
    model = ResponseModel(60, mean=0)
    for _ in strong:
        model.add()
    for row, theta in enumerate(strong):
        for column in rng.sample(range(60), 12):
            model.learn(row, column, rng.random() < float(ndtr(theta - hard[column])))
    assert np.corrcoef(model.means, strong)[0, 1] > 0.85
    assert np.corrcoef(model.difficulty, hard)[0, 1] > 0.85
    inside = np.abs(model.means - np.array(strong)) < 1.96 * np.sqrt(model.variances)
    assert inside.mean() > 0.85


@pytest.mark.parametrize("bad", [{"heritability": 1.2}, {"innovation": 0.0}, {"variance": -1.0}, {"spread": 0.0}])
def test_settings_that_cannot_be(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="heritability must lie"):
        ResponseModel(3, **bad)
    with pytest.raises(ValueError, match="at least one request"):
        ResponseModel(0)
