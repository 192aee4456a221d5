"""The layout of a training, as a pure function."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.harden.schedule import schedule, split_by_length, step_sizes


@settings(deadline=None)
@given(
    strata=st.lists(st.sampled_from("abc"), min_size=1, max_size=60),
    size=st.integers(1, 60),
    steps=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_every_row_comes_as_often_as_any_other(strata: list[str], size: int, steps: int, seed: int) -> None:
    size = min(size, len(strata))
    batches = schedule(strata, size, steps, seed)
    assert [len(batch) for batch in batches] == [size] * steps
    assert all(len(set(batch)) == size for batch in batches)
    counts = Counter(i for batch in batches for i in batch)
    often = [counts[i] for i in range(len(strata))]
    # A row that waited for the next step may be one more behind.
    assert max(often) - min(often) <= 2
    assert batches == schedule(strata, size, steps, seed)
    assert batches[:-1] == schedule(strata, size, steps - 1, seed)


def test_every_step_holds_the_kinds_in_proportion() -> None:
    strata = ["rare"] * 10 + ["common"] * 90
    for batch in schedule(strata, 20, 15, seed=3):
        assert 1 <= sum(strata[i] == "rare" for i in batch) <= 3


def test_one_pass_is_one_epoch() -> None:
    steps, size = step_sizes(50, 42, 1.0, None)
    assert (steps, size) == (2, 25)
    assert sorted(i for batch in schedule(["x"] * 50, size, steps, 0) for i in batch) == list(range(50))
    assert step_sizes(5, 42, 1.0, None) == (1, 5)
    assert step_sizes(5, 42, 3.0, None) == (3, 5)
    assert step_sizes(100, 10, 0.5, None) == (5, 10)
    assert step_sizes(100, 10, 1.0, 7) == (7, 10)


def test_a_step_of_more_rows_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        schedule(["x"], 2, 1, 0)


def test_parts_group_rows_of_like_length() -> None:
    assert split_by_length([0, 1, 2, 3, 4], [50, 10, 40, 20, 30], 2) == [[1, 3], [4, 2, 0]]
    with pytest.raises(ValueError, match="parts"):
        split_by_length([0], [1], 2)
