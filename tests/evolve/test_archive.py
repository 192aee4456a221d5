"""The archive and the choice of diverse elites, against closed forms and brute force."""

from __future__ import annotations

import math
import random
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.evolve.archive import Archive, select_diverse

A, B, C = ("a",), ("b",), ("c",)
# Few distinct values, so that ties and exact slacks happen; multiples of 1/8 so that sums are exact.
worlds = st.dictionaries(
    st.text("pqrstuvw", min_size=1, max_size=4),
    st.tuples(st.integers(0, 8).map(lambda eighth: eighth / 8), st.sampled_from([A, B, C, ("d",), ("e",)])),
    max_size=24,
)


def split(world):
    return {key: value for key, (value, _) in world.items()}, {key: cell for key, (_, cell) in world.items()}


def test_each_cell_keeps_its_best_and_the_smaller_id_of_equals() -> None:
    values = {"p1": 0.5, "p2": 0.75, "p4": 0.75, "p3": 0.25}
    cells = {"p1": A, "p2": A, "p4": A, "p3": B, "unscored": C}
    archive = Archive.of(values, cells)
    assert archive.elites == {A: "p2", B: "p3"}
    assert archive.values == {A: 0.75, B: 0.25}
    assert archive.reachable == 3
    assert archive.coverage == 2 / 3
    assert archive.qd_score == 1.0


def test_an_archive_of_nobody_is_empty() -> None:
    archive = Archive.of({}, {})
    assert (archive.elites, archive.coverage, archive.qd_score) == ({}, 0.0, 0.0)


def test_an_elite_whose_value_falls_loses_its_cell() -> None:
    cells = {"p1": A, "p2": A}
    assert Archive.of({"p1": 0.9, "p2": 0.6}, cells).elites == {A: "p1"}
    assert Archive.of({"p1": 0.4, "p2": 0.6}, cells).elites == {A: "p2"}


@settings(max_examples=50, deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_the_archive_is_the_brute_force_best_in_any_order(world, rng: random.Random) -> None:
    values, cells = split(world)
    archive = Archive.of(values, cells)
    for cell in set(cells.values()):
        members = [key for key in values if cells[key] == cell]
        top = max(values[key] for key in members)
        assert archive.elites[cell] == min(key for key in members if values[key] == top)
    keys = list(values)
    rng.shuffle(keys)
    assert Archive.of({k: values[k] for k in keys}, {k: cells[k] for k in keys}) == archive


def test_a_value_needs_a_cell_and_must_be_finite() -> None:
    for call in (Archive.of, lambda values, cells: select_diverse(values, cells, 1, 0.1)):
        with pytest.raises(ValueError, match="have no cell, such as p"):
            call({"p": 0.5}, {})
        with pytest.raises(ValueError, match="not finite, such as that of p"):
            call({"p": math.nan}, {"p": A})
    with pytest.raises(ValueError, match="must not be negative"):
        select_diverse({}, {}, -1, 0.1)
    with pytest.raises(ValueError, match="must not be negative"):
        select_diverse({}, {}, 1, math.nan)


def test_spare_places_go_to_other_cells_within_the_slack() -> None:
    values = {"a1": 0.9, "a2": 0.875, "a3": 0.75, "b1": 0.625, "c1": 0.5, "b2": 0.625}
    cells = {"a1": A, "a2": A, "a3": A, "b1": B, "b2": B, "c1": C}
    assert select_diverse(values, cells, 3, 0.0) == ["a1", "a2", "a3"]
    # a3 may give way to b1 (0.125); a2 to c1 would cost 0.375.
    assert select_diverse(values, cells, 3, 0.125) == ["a1", "a2", "b1"]
    assert select_diverse(values, cells, 3, 0.375) == ["a1", "b1", "c1"]


def test_places_are_shared_out_round_by_round() -> None:
    values = {f"a{i}": 0.75 for i in range(6)} | {f"b{i}": 0.5 for i in range(6)}
    cells = {key: A if key.startswith("a") else B for key in values}
    assert select_diverse(values, cells, 6, 0.25) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_exchanges_are_paired_so_that_most_places_change_hands() -> None:
    values = {"a1": 0.875, "a2": 0.875, "a3": 0.75, "b": 0.75, "c": 0.625}
    cells = {"a1": A, "a2": A, "a3": A, "b": B, "c": C}
    # a2 for b and a3 for c cost 0.125 each; a3 for b first would leave a2 for c at 0.25.
    assert select_diverse(values, cells, 3, 0.125) == ["a1", "b", "c"]


@settings(max_examples=100, deadline=None)
@given(worlds, st.integers(0, 30), st.integers(0, 8).map(lambda eighth: eighth / 8))
def test_the_choice_keeps_its_promises_against_the_plain_best(world, count: int, slack: float) -> None:
    values, cells = split(world)
    plain = sorted(values, key=lambda key: (-values[key], key))[:count]
    chosen = select_diverse(values, cells, count, slack)
    assert len(chosen) == len(set(chosen)) == len(plain)
    assert chosen == sorted(chosen, key=lambda key: (-values[key], key))
    assert len({cells[key] for key in chosen}) >= len({cells[key] for key in plain})
    assert {cells[key] for key in plain} <= {cells[key] for key in chosen}
    if plain:
        assert min(values[key] for key in chosen) >= values[plain[-1]] - slack
        assert sum(values[key] for key in chosen) >= sum(values[key] for key in plain) - slack * len(plain)
        assert chosen[0] == plain[0]


@settings(max_examples=50, deadline=None)
@given(worlds, st.integers(0, 30))
def test_without_slack_nothing_is_given_up(world, count: int) -> None:
    values, cells = split(world)
    plain = sorted(values.values(), reverse=True)[:count]
    assert [values[key] for key in select_diverse(values, cells, count, 0.0)] == plain


@settings(max_examples=50, deadline=None)
@given(worlds, st.integers(1, 30))
def test_with_boundless_slack_as_many_cells_as_can_be_are_covered(world, count: int) -> None:
    values, cells = split(world)
    chosen = select_diverse(values, cells, count, 10.0)
    assert len({cells[key] for key in chosen}) == min(count, len(set(cells.values())))


@pytest.mark.parametrize("seed", range(150))
def test_no_way_to_give_away_spare_places_covers_more_cells(seed: int) -> None:
    """Brute force over which spare places of the plain best go to whom, each at most `slack` below."""
    rng = random.Random(seed)
    values = {f"p{i}": rng.randint(0, 8) / 8 for i in range(9)}
    cells = {key: rng.choice([A, A, A, B, C, ("d",)]) for key in values}
    count, slack = rng.randint(1, 5), rng.randint(0, 4) / 8
    ranked = sorted(values, key=lambda key: (-values[key], key))
    plain, others = ranked[:count], ranked[count:]
    spare = [key for place, key in enumerate(plain) if cells[key] in {cells[before] for before in plain[:place]}]
    best = len({cells[key] for key in plain})
    for size in range(1, len(spare) + 1):
        for gone in combinations(spare, size):
            # Both in order of value: the pairing whose dearest pair is cheapest.
            for new in combinations(others, size):
                if all(values[g] - values[n] <= slack for g, n in zip(gone, new, strict=True)):
                    best = max(best, len({cells[key] for key in {*plain, *new} - {*gone}}))
    assert len({cells[key] for key in select_diverse(values, cells, count, slack)}) == best


@settings(max_examples=50, deadline=None)
@given(worlds, st.integers(0, 30), st.randoms(use_true_random=False))
def test_the_choice_does_not_depend_on_the_order(world, count: int, rng: random.Random) -> None:
    values, cells = split(world)
    keys = list(values)
    rng.shuffle(keys)
    again = select_diverse({k: values[k] for k in keys}, {k: cells[k] for k in reversed(keys)}, count, 0.25)
    assert again == select_diverse(values, cells, count, 0.25)
