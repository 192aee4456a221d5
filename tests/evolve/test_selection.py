"""Scores in closed form, ties by id, and nobody ranked without evidence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.core import Persona
from personaproof.evolve import Candidate, Evidence, Lineage
from personaproof.evolve.selection import ratio_asr, reference_scores, scored_only, select_parents, top_k


def test_reference_score_in_closed_form() -> None:
    totals = np.array([[3.0, 1.0, 4.0], [0.0, 0.0, 0.0], [1.0, 1.0, 9.0]])
    scores = reference_scores(totals, 0.1)
    assert scores[0] == pytest.approx(0.75 + 0.1 * math.sqrt(2 * math.log(3) / 5))
    assert math.isnan(scores[1])
    assert scores[2] == pytest.approx(1 / 9 + 0.1 * math.sqrt(2 * math.log(3) / 10))
    assert reference_scores(np.zeros((0, 3)), 0.1).shape == (0,)


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), max_size=40), st.integers(0, 12), st.randoms())
@settings(deadline=None)
def test_top_k_equals_a_full_sort(values: list[float], k: int, rng: object) -> None:
    ids = [f"p{i:02d}" for i in range(len(values))]
    rng.shuffle(ids)  # type: ignore[attr-defined]
    expected = sorted((i for i, v in enumerate(values) if not math.isnan(v)), key=lambda i: (-values[i], ids[i]))[:k]
    assert top_k(np.array(values, dtype=float), ids, k) == expected


def test_personas_with_too_little_evidence_are_neither_parent_nor_elite() -> None:
    lineage = Lineage(0.3)
    people = [Persona(f"You are {name}.") for name in ("strong", "weak", "lucky", "unread")]
    for person, (successes, judged) in zip(people, [(9, 10), (1, 10), (1, 1), (0, 0)], strict=True):
        lineage.add(Candidate(person))
        lineage.record(Evidence(person.id, successes, judged - successes, judged, 10 - judged))
    assert select_parents(lineage, 4, 0.1, min_judged=5) == [people[0].id, people[1].id]
    rates = ratio_asr(lineage.direct)
    assert top_k(scored_only(rates, lineage, 5), lineage.ids, 4) == [0, 1]
    assert top_k(scored_only(rates, lineage, 0), lineage.ids, 4) == [2, 0, 1]


def test_a_child_raises_its_parents_rank() -> None:
    lineage = Lineage(0.3)
    plain, mother, child = (Persona(f"You are {name}.") for name in ("plain", "mother", "child"))
    for candidate in (Candidate(plain), Candidate(mother), Candidate(child, (mother.id,), "rewrite", 1)):
        lineage.add(candidate)
    for person, successes in ((plain, 5), (mother, 4), (child, 10)):
        lineage.record(Evidence(person.id, successes, 10 - successes, 10))
    assert select_parents(lineage, 3, 0.0, 1) == [child.id, mother.id, plain.id]
