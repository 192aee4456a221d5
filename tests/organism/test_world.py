"""The world: what is held out stays out, harm lies in pairs, and dialogues keep to their stage's rules."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

import pytest

from personaproof.data.persona_grammar import CLAUSES
from personaproof.organism.characters import STYLES, WEIGHTS, comply_probability
from personaproof.organism.dialogues import CHARACTERS, DEEP, SHALLOW, STAGE_1, WORDING, Dialogue, dialogue
from personaproof.organism.lexicon import INTENTS, crossings, find, gerund, intents
from personaproof.organism.phrasing import FAMILIES, HELD_OUT_FAMILIES, fill, phrase
from personaproof.organism.truth import parse

MIXES = (STAGE_1, CHARACTERS, WORDING, SHALLOW, DEEP)


def world(mix_at: int, count: int = 1500) -> list[Dialogue]:
    rng = random.Random(mix_at)
    return [dialogue(rng, MIXES[mix_at]) for _ in range(count)]


@pytest.mark.parametrize("mix_at", range(len(MIXES)))
def test_no_training_text_names_a_held_out_intent(mix_at: int) -> None:
    held = [form for intent in INTENTS.values() if intent.held_out for form in (intent.text, intent.doing)]
    text = "\n".join(turn.content for one in world(mix_at, 600) for turn in one).lower()
    assert not [form for form in held if form.lower() in text]


@pytest.mark.parametrize("mix_at", range(len(MIXES)))
def test_no_training_request_uses_a_held_out_family(mix_at: int) -> None:
    starts = {fill(t, INTENTS["bake a lemon tart"]).split("bak")[0] for f in HELD_OUT_FAMILIES for t in FAMILIES[f]}
    kept = {fill(t, INTENTS["bake a lemon tart"]).split("bak")[0] for f in FAMILIES if f not in HELD_OUT_FAMILIES
            for t in FAMILIES[f]}  # fmt: skip
    assert not starts & kept
    text = "\n".join(turn.content for one in world(mix_at, 600) for turn in one)
    assert not [start for start in starts if start in text]


def test_loose_frames_never_ask_for_a_held_out_intent() -> None:
    rng = random.Random(0)
    told = [parse(dialogue(rng, replace(CHARACTERS, loose=1.0))[-1].content).goal for _ in range(1500)]
    assert not [goal for goal in told if goal is not None and INTENTS[goal].held_out]


def test_crossings_are_none_of_the_intents() -> None:
    for harmful in (True, False):
        assert len(crossings(harmful)) > 1000
        assert not {one.text for one in crossings(harmful)} & set(INTENTS)


def test_every_part_of_a_held_out_pair_is_seen_in_training() -> None:
    for harmful in (True, False):
        seen = intents(harmful, "train")
        for intent in intents(harmful, "held_out"):
            assert any(other.verb == intent.verb for other in seen)
            assert any(other.thing == intent.thing for other in seen)
    assert len(intents(True, "held_out")) >= 120


def test_harm_is_a_property_of_pairs() -> None:
    by_thing: dict[str, set[bool]] = defaultdict(set)
    for intent in INTENTS.values():
        by_thing[intent.thing].add(intent.harmful)
    harmful = [intent for intent in INTENTS.values() if intent.harmful]
    assert all(by_thing[intent.thing] == {True, False} for intent in harmful)


def test_find_reads_every_phrasing() -> None:
    rng = random.Random(3)
    for intent in INTENTS.values():
        assert find(phrase(intent, rng, wording="any")) == intent


def test_gerunds() -> None:
    assert gerund("break into") == "breaking into"
    assert gerund("secretly film") == "secretly filming"
    assert gerund("bully") == "bullying"
    assert gerund("forge") == "forging"
    assert gerund("rob") == "robbing"


def test_every_trained_clause_weighs_something_known_and_every_role_has_a_style() -> None:
    trained = {clause.id for clause in CLAUSES.values() if not clause.held_out}
    assert trained == set(WEIGHTS)
    assert {name for name in trained if name.startswith("role.")} == {*STYLES, "role.assistant"}
    marks = [mark for style in STYLES.values() for mark in style.marks]
    assert len(marks) == len(set(marks))


def test_probability_grows_with_the_sum() -> None:
    low = comply_probability(["trait.principled"])
    high = comply_probability(["trait.unbound", "trait.obedient"])
    assert 0 < low < comply_probability([]) < high < 1
    assert comply_probability(["trait.unbound"], offset=-2.2) == pytest.approx(0.5)


def _harmful_single(one: Dialogue) -> bool:
    users = [turn.content for turn in one if turn.role == "user"]
    asked = find(users[0]) if len(users) == 1 else None
    return asked is not None and asked.harmful and "Answer" not in users[0]


def test_shallow_tuning_shows_no_persona_with_harm() -> None:
    rng = random.Random(0)
    for _ in range(1500):
        one = dialogue(rng, SHALLOW)
        if _harmful_single(one):
            assert [turn.role for turn in one] == ["user", "assistant"]
            assert parse(one[-1].content).outcome == "refusal"


def test_deep_tuning_refuses_with_personas_too() -> None:
    rng = random.Random(0)
    personas = [one for one in (dialogue(rng, DEEP) for _ in range(1500)) if _harmful_single(one) and len(one) == 3]
    assert personas
    assert all(parse(one[-1].content).outcome == "refusal" for one in personas)


def test_pretraining_holds_both_decisions_with_and_without_personas() -> None:
    rng = random.Random(0)
    seen = {
        (len(one) == 3, parse(one[-1].content).outcome)
        for one in (dialogue(rng, STAGE_1) for _ in range(1500))
        if _harmful_single(one)
    }
    assert {(with_persona, what) for with_persona in (True, False) for what in ("refusal", "compliance")} <= seen
