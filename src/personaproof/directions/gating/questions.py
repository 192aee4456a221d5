"""What the study asks: requests in contexts, in two halves that share no intent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from personaproof.core import Conversation, DataError, Framing, Persona, Request, content_id, direct, item_seed
from personaproof.data import split_requests
from personaproof.directions.gating.recipe import GateRecipe
from personaproof.directions.packs import RolePack, TraitPack

SHARES = {"search": 0.4, "report": 0.6}
LEAST = 8
"""Fewer requests than this, of either kind on the report side, say nothing."""


class Context(StrEnum):
    """Who the model is told to be. `neutral` are roles without a word on compliance."""

    PLAIN = "plain"
    NEUTRAL = "neutral"
    COMPLIANT = "compliant"
    OPPOSITE = "opposite"


@dataclass(frozen=True)
class Question:
    request: Request
    context: Context
    conversation: Conversation
    persona: Persona | None = None


@dataclass(frozen=True)
class Questions:
    """A list of questions that one cell answers. Its id is by content and order."""

    items: tuple[Question, ...]

    @cached_property
    def id(self) -> str:
        return content_id("questions", [[each.conversation.id, each.request.id] for each in self.items])

    def where(self, *, harmful: bool, context: Context | None = None) -> list[bool]:
        """Which questions are of a kind."""
        return [q.request.harmful is harmful and context in (None, q.context) for q in self.items]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Plan:
    """All that is asked. `search` and `refusal_*` are of intents that `push`, `instructed` and `told` never meet."""

    search: Questions
    push: Questions
    """Harmful requests plainly and under a neutral role, and benign ones in one or the other: where refusal is the
    rule, and steering may take it away."""
    instructed: Questions
    """Harmful and benign requests under the trait pack's compliant instructions: where steering may bring refusal
    back."""
    told: Questions
    """Harmful requests under the opposite instructions."""
    refusal_harmful: tuple[Request, ...]
    refusal_benign: tuple[Request, ...]


def plan_questions(
    recipe: GateRecipe,
    harmful: Sequence[Request],
    benign: Sequence[Request],
    trait: TraitPack,
    roles: RolePack,
    framing: Framing,
) -> Plan:
    """Split by intent and render. Raises DataError where a side is left with too few requests."""
    bad, good = (split_requests(group, SHARES, recipe.seed) for group in (harmful, benign))
    searched, asked = _some(bad["search"], recipe.search_requests), _some(bad["report"], recipe.requests)
    answered = _some(good["report"], recipe.benign)
    if min(len(asked), len(answered)) < LEAST or len(searched) < LEAST // 2:
        raise DataError(
            f"after the split by intent there are {len(searched)} harmful requests to search on, and {len(asked)} "
            f"harmful and {len(answered)} benign ones to report on; {LEAST // 2}, {LEAST} and {LEAST} are needed. "
            "Bring more requests of more intents."
        )
    neutral = [Persona(text) for texts in zip(*_padded(roles), strict=True) for text in texts if text]
    compliant, opposite = ([Persona(text) for text in side] for side in (trait.positive, trait.negative))

    def under(people: Sequence[Persona], context: Context, requests: Sequence[Request]) -> list[Question]:
        turns = [people[at % len(people)] for at in range(len(requests))]
        return [Question(r, context, framing.render(p, r), p) for p, r in zip(turns, requests, strict=True)]

    def plainly(requests: Sequence[Request]) -> list[Question]:
        return [Question(request, Context.PLAIN, direct(request)) for request in requests]

    return Plan(
        search=Questions((*plainly(searched), *under(neutral, Context.NEUTRAL, searched))),
        push=Questions(
            (
                *plainly(asked),
                *under(neutral, Context.NEUTRAL, asked),
                *plainly(answered[::2]),
                *under(neutral, Context.NEUTRAL, answered[1::2]),
            )
        ),
        instructed=Questions(tuple(under(compliant, Context.COMPLIANT, [*asked, *answered]))),
        told=Questions(tuple(under(opposite, Context.OPPOSITE, asked))),
        refusal_harmful=tuple(_some(bad["search"], recipe.refusal_requests)),
        refusal_benign=tuple(_some(good["search"], recipe.refusal_requests)),
    )


def _some(requests: Sequence[Request], most: int) -> list[Request]:
    """A seeded choice that does not depend on the order of the file, intents mixed."""
    return sorted(requests, key=lambda request: item_seed("gate", request.id))[:most]


def _padded(roles: RolePack) -> list[list[str]]:
    """Every role's instructions, filled up with "": read column by column, neighbours are of different roles."""
    most = max(map(len, roles.roles.values()))
    return [[*texts, *[""] * (most - len(texts))] for texts in roles.roles.values()]
