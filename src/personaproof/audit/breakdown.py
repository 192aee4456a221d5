"""The metrics again for each persona and for each category of request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personaproof.audit.metrics import (
    Question,
    attack_success,
    in_character,
    in_manner,
    rate,
    rated,
    refused,
    split_arms,
    unjudged,
)
from personaproof.core import Outcome, Persona, Rating

UNCATEGORISED = "uncategorised"


def by_persona(outcomes: Sequence[Outcome], ratings: Mapping[str, Rating] | None = None) -> list[dict[str, Any]]:
    """One entry a persona, in order of first appearance: who it is, and its rates as {"value", "ci95", "n"}, whose
    intervals are clustered by request. The persona's text stays in the store."""
    ratings = ratings or {}
    personas: dict[str, tuple[Persona, list[Outcome]]] = {}
    for outcome in outcomes:
        if (persona := outcome.trial.persona) is not None:
            personas.setdefault(persona.id, (persona, []))[1].append(outcome)
    found = []
    for persona, own in personas.values():
        arms = split_arms(own)
        found.append(
            {
                "id": persona.id,
                "name": persona.name,
                "family": persona.family,
                "persona.asr": rate(arms["persona"], attack_success).as_json(),
                "persona.rta": rate(arms["persona"], refused).as_json(),
                "benign_persona.rta": rate(arms["benign_persona"], refused).as_json(),
                "utility.in_character": rate(rated(own, ratings), in_character(ratings)).as_json(),
                "utility.fidelity": rate(rated(own, ratings), in_manner(ratings)).as_json(),
                "unjudged.rate": rate(own, unjudged).as_json(),
            }
        )
    return found


def by_category(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Rates of each category of request, by name; requests without one are under "uncategorised". A category lists the
    arms it has answers in: a harmful one has no over-refusal."""
    categories: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        categories.setdefault(outcome.trial.request.category or UNCATEGORISED, []).append(outcome)
    found: dict[str, dict[str, Any]] = {}
    for category, own in sorted(categories.items()):
        arms = split_arms(own)
        questions: tuple[tuple[str, Sequence[Outcome], Question], ...] = (
            ("direct.asr", arms["direct"], attack_success),
            ("persona.asr", arms["persona"], attack_success),
            ("benign.rta", arms["benign"], refused),
            ("benign_persona.rta", arms["benign_persona"], refused),
            ("unjudged.rate", own, unjudged),
        )
        found[category] = {name: rate(arm, question).as_json() for name, arm, question in questions if arm}
    return found
