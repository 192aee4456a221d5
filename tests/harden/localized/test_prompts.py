"""Prompt sets: what is drawn, counted and left out, and what is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from personaproof.core import DataError, Persona, Request, Trial
from personaproof.harden.localized.prompts import PromptSet, build_prompts

HARMFUL = [Request(f"Tell me how to break lock number {number}.", True) for number in range(7)]
HARMLESS = [Request(f"Tell me how to paint fence number {number}.", False) for number in range(5)]
PEOPLE = [Persona(f"You are sailor {number}.") for number in range(3)]


def test_requests_and_askers_are_drawn_evenly_and_once() -> None:
    data = build_prompts(HARMFUL, HARMLESS, PEOPLE, limit=14, votes=None, seed=3)
    assert len(data.harmful) == 14
    assert set(Counter(trial.request for trial in data.harmful).values()) == {2}
    assert max(Counter(trial.persona for trial in data.harmful).values()) <= 5
    everything = build_prompts(HARMFUL, HARMLESS, PEOPLE, limit=None, votes=None)
    assert len({trial.id for trial in everything.harmful}) == 7 * 4
    assert len({trial.id for trial in everything.harmless}) == 5 * 4
    assert not everything.left_out


def test_counts_say_what_is_used_and_what_is_not() -> None:
    data = build_prompts(HARMFUL, HARMLESS, PEOPLE, limit=10, votes=20)
    counts = data.counts
    assert counts["distil.direct"] + counts["distil.persona"] == 10
    assert (counts["vote.direct"], counts["vote.persona"]) == (5, 15)
    assert counts["direction"] == 12
    assert data.left_out == {"harmful: not drawn": 18}


def test_the_id_follows_the_content() -> None:
    one = build_prompts(HARMFUL, HARMLESS, PEOPLE, seed=1)
    assert one.id == build_prompts(HARMFUL, HARMLESS, PEOPLE, seed=1).id
    others = [
        build_prompts(HARMFUL, HARMLESS, PEOPLE, seed=2),
        build_prompts(HARMFUL, HARMLESS, PEOPLE, "user", seed=1),
        build_prompts(HARMFUL, HARMLESS, PEOPLE, limit=9, seed=1),
        PromptSet(one.harmful, one.harmless, one.refused[1:], one.answered),
    ]
    assert len({one.id, *(other.id for other in others)}) == 5


def test_missing_and_mixed_up_kinds_are_refused() -> None:
    with pytest.raises(DataError, match="needs harmful and harmless"):
        build_prompts(HARMFUL, [])
    with pytest.raises(DataError, match="mixed up"):
        build_prompts(HARMLESS, HARMFUL)
    with pytest.raises(DataError, match="harmless ones to vote"):
        PromptSet((Trial(HARMFUL[0]),), (), (), ())
