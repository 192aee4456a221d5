"""Correlations against scipy, references against the formulas, and invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from personaproof.recognition.predictors import (
    bands,
    bootstrap_draws,
    correlations,
    fisher,
    interval,
    mean_over,
    pearson,
    ranks,
    references,
)


def panel(seed: int, n: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.gamma(4, 0.5, (n, n)), rng.random((n, n))


def test_every_reference_is_the_correlation_that_scipy_finds_with_its_formula() -> None:
    surprise, claims = panel(0)
    r = correlations(surprise, claims)
    n = len(surprise)
    assert r.shape == (n + 2, n)
    for e in range(n):
        own = [surprise[g, g] - surprise[e, g] for g in range(n)]
        assert r[0, e] == pytest.approx(scipy_stats.pearsonr(own, claims[e]).statistic, abs=1e-12)
        assert r[1, e] == pytest.approx(scipy_stats.pearsonr(-surprise[e], claims[e]).statistic, abs=1e-12)
        for ref in range(n):
            if ref == e:
                assert np.isnan(r[2 + ref, e])
            else:
                expected = scipy_stats.pearsonr(surprise[ref] - surprise[e], claims[e]).statistic
                assert r[2 + ref, e] == pytest.approx(expected, abs=1e-12)


def test_a_draw_counts_generators_as_often_as_it_says() -> None:
    surprise, claims = panel(1)
    counts = np.array([[2, 0, 1, 3, 1, 0, 0.0]])
    repeated = np.repeat(np.arange(7), counts[0].astype(int))
    (r,) = correlations(surprise, claims, counts)
    for ref, e in ((0, 3), (1, 2), (2, 4)):
        x = (references(surprise)[ref] - surprise[e])[repeated]
        assert r[ref, e] == pytest.approx(scipy_stats.pearsonr(x, claims[e][repeated]).statistic, abs=1e-12)


def test_one_draw_of_all_is_the_plain_correlation_and_a_draw_of_one_has_none() -> None:
    surprise, claims = panel(2)
    r = correlations(surprise, claims, np.array([np.ones(7), np.eye(7)[3] * 7]))
    assert np.allclose(r[0], correlations(surprise, claims), equal_nan=True, atol=1e-12)
    assert np.isnan(r[1]).all()


@given(st.integers(0, 10_000), st.permutations(range(7)))
def test_renaming_personas_permutes_the_correlations(seed: int, order: list[int]) -> None:
    surprise, claims = panel(seed)
    r = correlations(surprise, claims)
    moved = correlations(surprise[np.ix_(order, order)], claims[np.ix_(order, order)])
    assert np.allclose(moved[:2], r[:2][:, order], atol=1e-9)
    assert np.allclose(moved[2:], r[2:][np.ix_(order, order)], equal_nan=True, atol=1e-9)


@given(st.integers(0, 10_000), st.floats(0.1, 50), st.floats(-20, 20))
def test_units_of_surprise_and_what_every_evaluator_finds_surprising_do_not_matter(
    seed: int, scale: float, shift: float
) -> None:
    surprise, claims = panel(seed)
    hard = np.random.default_rng(seed + 1).random(7) * shift
    r, moved = correlations(surprise, claims), correlations(surprise * scale, claims)
    assert np.allclose(moved, r, equal_nan=True, atol=1e-6)
    # A text that is harder for everyone shifts no reference but none: plain surprise is the one that notices.
    shifted = correlations(surprise + hard, claims)
    assert np.allclose(np.delete(shifted, 1, 0), np.delete(r, 1, 0), equal_nan=True, atol=1e-6)


def test_claims_that_never_vary_correlate_with_nothing() -> None:
    surprise, claims = panel(3)
    claims[2] = 0.25
    assert np.isnan(correlations(surprise, claims)[:, 2]).all()
    assert pearson(surprise[0], claims[2]).value is None


def test_pearson_and_fishers_interval_are_scipys() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=25)
    y = x + rng.normal(size=25)
    expected = scipy_stats.pearsonr(x, y)
    bounds = expected.confidence_interval(0.95)
    found = pearson(x, y)
    assert found.value == pytest.approx(expected.statistic, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), abs=1e-9)
    assert (fisher(0.5, 3).low, fisher(1.0, 9).low) == (None, None)


def test_draws_hold_as_many_generators_each_and_follow_the_seed() -> None:
    draws = bootstrap_draws(9, 500, seed=1)
    assert draws.shape == (500, 9)
    assert (draws.sum(1) == 9).all()
    assert (bootstrap_draws(9, 500, 1) == draws).all()
    assert (bootstrap_draws(9, 500, 2) != draws).any()
    assert draws.mean() == pytest.approx(1)
    assert draws.var() == pytest.approx(8 / 9, rel=0.1)


def test_the_bootstraps_interval_covers_a_known_correlation_about_as_often_as_it_says() -> None:
    rng, truth, n = np.random.default_rng(5), 0.6, 20
    draws = bootstrap_draws(n, 300, 0)
    hits = 0
    for _ in range(100):
        x = rng.normal(size=n)
        # Everything but evaluator 1 is without surprise, so the evidence against persona 0 is -H_1.
        surprise, claims = np.zeros((n, n)), np.zeros((n, n))
        surprise[1], claims[1] = -x, truth * x + (1 - truth**2) ** 0.5 * rng.normal(size=n)
        value, drawn = correlations(surprise, claims)[2, 1], correlations(surprise, claims, draws)[:, 2, 1]
        found = interval(float(value), drawn, n)
        assert found.value == pytest.approx(np.corrcoef(x, claims[1])[0, 1])
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= truth <= found.high
    assert 82 <= hits <= 100


def test_an_interval_needs_replicates_and_holds_its_value() -> None:
    assert interval(float("nan"), np.ones(10), 3).value is None
    assert interval(0.5, np.array([0.4] * 8 + [np.nan] * 2), 3).low is None
    held = interval(0.9, np.linspace(0, 0.5, 100), 3)
    assert (held.low, held.high) == (pytest.approx(0.0125), 0.9)


def test_means_skip_what_is_undefined_and_ranks_share_ties() -> None:
    r = np.array([[0.5, np.nan, 0.1], [np.nan, np.nan, 0.2]])
    assert mean_over(r, [0, 1, 2]) == pytest.approx([0.3, 0.2])
    assert np.isnan(mean_over(r, [1])).all()
    assert ranks(np.array([0.2, 0.9, 0.2, np.nan])).tolist() == pytest.approx([2.5, 1, 2.5, np.nan], nan_ok=True)


@given(st.lists(st.floats(-5, 5), min_size=3, max_size=12), st.sampled_from([2, 3]))
def test_bands_part_the_evaluators_by_distance_in_groups_of_like_size(distance: list[float], number: int) -> None:
    parts = bands(np.array(distance), number)
    assert sorted(i for part in parts for i in part) == list(range(len(distance)))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    for near, far in itertools.pairwise(parts):
        assert max(distance[i] for i in near) <= min(distance[i] for i in far)
