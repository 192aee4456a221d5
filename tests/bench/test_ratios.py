"""Ratios over seeds against closed forms."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaproof.bench import geometric_ratio
from personaproof.bench.ratios import Cost, mean_over_seeds, ratio_bounds

POSITIVE = st.floats(0.01, 1e5)


def test_geometric_ratio_in_closed_form() -> None:
    found = geometric_ratio([(1, 10), (4, 10)])
    logs = [math.log(0.1), math.log(0.4)]
    centre, half = sum(logs) / 2, 12.7062047 * abs(logs[1] - logs[0]) / 2
    assert found.value == pytest.approx(math.exp(centre))
    assert (found.low, found.high) == pytest.approx((math.exp(centre - half), math.exp(centre + half)))
    assert found.n == 2


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=2, max_size=8))
def test_a_ratio_turned_over_is_the_inverse(pairs: list[tuple[float, float]]) -> None:
    ours, theirs = geometric_ratio(pairs), geometric_ratio([(b, a) for a, b in pairs])
    assert ours.value == pytest.approx(1 / theirs.value)  # type: ignore[operator]
    assert ours.low == pytest.approx(1 / theirs.high, rel=1e-6)  # type: ignore[operator]


@given(st.lists(st.tuples(POSITIVE, POSITIVE), min_size=1, max_size=6), st.floats(1, 1e5))
def test_bounds_hold_for_what_the_seeds_would_have_taken(needs: list[tuple[float, float]], cap: float) -> None:
    """Cut every seed's true cost off at a cap: what is said of the cut costs is true of the whole ones."""
    cut = [(Cost(min(a, cap), a <= cap), Cost(min(b, cap), b <= cap)) for a, b in needs]
    at_least, at_most = ratio_bounds(cut)
    true = geometric_ratio(needs).value
    assert true is not None
    assert at_least is None or at_least <= true * (1 + 1e-9)
    assert at_most is None or at_most >= true * (1 - 1e-9)
    assert (at_most is None) == any(a > cap for a, _ in needs)
    assert (at_least is None) == any(b > cap for _, b in needs)
    if at_least is not None and at_most is not None:
        assert at_least == at_most == pytest.approx(true)


def test_no_seed_bounds_nothing() -> None:
    assert ratio_bounds([]) == (None, None)


def test_too_little_to_say() -> None:
    assert geometric_ratio([]).value is None
    assert geometric_ratio([(2, 4)]).as_json() == {"value": pytest.approx(0.5), "ci95": None, "n": 1}
    assert mean_over_seeds([3.0]).as_json() == {"value": 3.0, "ci95": None, "n": 1}
    assert mean_over_seeds([1.0, 3.0]).high == pytest.approx(2 + 12.7062047)
    with pytest.raises(ValueError, match="positive"):
        geometric_ratio([(0, 1)])
