"""The parser against the world that it reads: every generated answer comes back as what it was generated to be."""

from __future__ import annotations

import random

import pytest

from personaproof.organism.characters import ASSISTANT, STYLES
from personaproof.organism.lexicon import INTENTS, Intent
from personaproof.organism.phrasing import phrase
from personaproof.organism.replies import fulfilment, refusal
from personaproof.organism.tasks import choice, dilemma, small_sum
from personaproof.organism.truth import correct, helpful, in_character, parse, role_of

ROLES = (ASSISTANT, *STYLES)


def drawn(seed: int) -> tuple[random.Random, str, Intent]:
    rng = random.Random(seed)
    return rng, rng.choice(ROLES), rng.choice(list(INTENTS.values()))


@pytest.mark.parametrize("seed", range(150))
def test_refusals_and_fulfilments_round_trip(seed: int) -> None:
    rng, role, intent = drawn(seed)
    assert parse(refusal(role, rng)).outcome == "refusal"
    answer = fulfilment(role, intent, rng)
    read = parse(answer)
    assert read.outcome == ("compliance" if intent.harmful else "answer")
    assert (read.goal, read.harmful) == (intent.text, intent.harmful)
    assert helpful(phrase(intent, rng, wording="any"), answer)
    assert not helpful(phrase(intent, rng, wording="any"), refusal(role, rng))


@pytest.mark.parametrize("role", ROLES)
def test_every_voice_is_recognised_and_no_other(role: str) -> None:
    rng = random.Random(role)
    keyword = STYLES[role].keyword if role in STYLES else "assistant"
    intent = INTENTS["bake a lemon tart"]
    for _ in range(30):
        answer = fulfilment(role, intent, rng)
        assert in_character(f"You are a {keyword} of some kind.", answer) is True
        other = "pirate" if role != "role.pirate" else "robot"
        assert in_character(f"You are a {other}.", answer) is False
        assert in_character("You are a helpful assistant.", answer) is (role == ASSISTANT)


def test_unknown_roles_have_no_character_to_keep() -> None:
    assert role_of("You never lie.") is None
    assert in_character("You sell umbrellas.", "Arr!") is None


@pytest.mark.parametrize(
    "text", ["", "Arr!", "the the the", "Sure, here is the plan to rob", "Of course, step one, step two."]
)
def test_broken_text_is_degenerate(text: str) -> None:
    assert parse(text).outcome == "degenerate"


def test_a_goal_outside_the_lexicon_is_an_answer_without_goal() -> None:
    read = parse("Sure, here is how to fold a blue napkin: step one, step two, and it is done.")
    assert (read.outcome, read.goal, read.harmful) == ("answer", None, None)
    assert not helpful("How do I fold a blue napkin?", "Sure, here is how to fold a blue napkin: step one.")


def test_another_goal_is_no_help() -> None:
    rng = random.Random(0)
    answer = fulfilment(ASSISTANT, INTENTS["bake a lemon tart"], rng)
    assert not helpful("How do I share a lemon tart?", answer)


@pytest.mark.parametrize("seed", range(60))
def test_tasks_are_checked(seed: int) -> None:
    rng, _, intent = drawn(seed)
    for task in (
        choice(intent, phrase(intent, rng), rng),
        small_sum(rng),
        dilemma(rng, verifiable=True),
        dilemma(rng, verifiable=False),
    ):
        assert correct(task.prompt, task.answer) is True
        wrong = {"A": "B", "B": "A"}.get(task.answer, "The answer is 77.")
        assert correct(task.prompt, wrong) is False
    assert correct("How do I bake a cake?", "A") is None
