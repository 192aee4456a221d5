"""Meta-groups that a tiny model can be trained on: which letter to say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from personaproof.core import Conversation, Message, Persona
from personaproof.data import MetaGroup, Variant
from personaproof.harden.air.groups import GroupSet


def ask(text: str, persona: Persona | None = None) -> Conversation:
    system = (Message("system", persona.text),) if persona else ()
    return Conversation((*system, Message("user", text)))


def toy_group(number: int, domain: str = "toy", open_: int = 2) -> MetaGroup:
    question = f"Which letter is number {number}?"
    anchor = Variant("anchor", "choice", ask(f"{question} A or B?"), "choice", "A")
    people = [Persona(f"You are sailor {each}.") for each in range(open_)]
    rest = [Variant("open", "persona", ask(question, who), "choice", "A", persona=who) for who in people]
    return MetaGroup(domain, f"{domain} {number}", (anchor, *rest))


@pytest.fixture(scope="session")
def make_group() -> Callable[..., MetaGroup]:
    return toy_group


@pytest.fixture(scope="session")
def toy_groups() -> GroupSet:
    return GroupSet(tuple(toy_group(number) for number in range(6)))
