"""Quantiles and tails against scipy's own distributions, which are slow to import and are not used in the package."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from personaproof.stats.quantiles import fair_two_sided, normal_critical, student_critical, student_two_sided

levels = st.floats(0.5, 0.999)
degrees = st.integers(1, 500)


@given(levels, degrees)
def test_critical_values(level: float, df: int) -> None:
    assert normal_critical(level) == pytest.approx(stats.norm.isf((1 - level) / 2), rel=1e-9)
    assert student_critical(df, level) == pytest.approx(stats.t.isf((1 - level) / 2, df), rel=1e-9)


@given(st.floats(-40, 40), degrees)
def test_both_tails_of_student(statistic: float, df: int) -> None:
    assert student_two_sided(statistic, df) == pytest.approx(2 * stats.t.sf(abs(statistic), df), rel=1e-9, abs=1e-300)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_fair_coin(heads: int, tails: int) -> None:
    if heads + tails:
        expected = stats.binomtest(heads, heads + tails, 0.5).pvalue
        assert fair_two_sided(heads, heads + tails) == pytest.approx(expected, rel=1e-9)
