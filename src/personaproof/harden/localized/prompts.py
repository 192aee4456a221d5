"""The prompts that localized distillation learns from. No answers: the student gives its own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from personaproof.core import DataError, Persona, Request, Trial, content_id


@dataclass(frozen=True)
class PromptSet:
    """What is distilled on, what votes, and what the refusal direction is found with.

    The paper distils on about 100 harmful prompts and needs no general data beyond the vote's.
    """

    harmful: tuple[Trial, ...]
    """Prompts that the student answers, directly or in persona."""
    harmless: tuple[Trial, ...]
    """Prompts that the safety tokens are elected on."""
    refused: tuple[Request, ...]
    """Harmful requests that the direction is found with; `answered` are the harmless ones."""
    answered: tuple[Request, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.harmful or not self.harmless:
            raise DataError("localized distillation needs harmful prompts to learn on and harmless ones to vote.")
        if any(not trial.request.harmful for trial in self.harmful) or any(t.request.harmful for t in self.harmless):
            raise DataError("harmful prompts must be marked harmful and harmless ones not; the two seem mixed up.")

    @cached_property
    def id(self) -> str:
        parts = [
            [trial.id for trial in self.harmful],
            [trial.id for trial in self.harmless],
            [request.id for request in self.refused],
            [request.id for request in self.answered],
        ]
        return content_id("prompts", parts)

    @property
    def asked(self) -> tuple[Request | Persona, ...]:
        """Its requests and personas, those included that only the direction or the vote are found with."""
        trials = (*self.harmful, *self.harmless)
        requests = (*self.refused, *self.answered, *(trial.request for trial in trials))
        people = {trial.persona.id: trial.persona for trial in trials if trial.persona is not None}
        return (*{request.id: request for request in requests}.values(), *people.values())

    @property
    def counts(self) -> Mapping[str, int]:
        """Prompts by use, and by whether they are asked in persona."""
        named = [("distil", self.harmful), ("vote", self.harmless)]
        found = Counter(
            f"{use}.{'direct' if trial.persona is None else 'persona'}" for use, trials in named for trial in trials
        )
        return {**dict(sorted(found.items())), "direction": len(self.refused) + len(self.answered)}


def build_prompts(
    harmful: Sequence[Request],
    harmless: Sequence[Request],
    personas: Sequence[Persona] = (),
    framing: str = "system",
    *,
    limit: int | None = 100,
    votes: int | None = 100,
    seed: int = 0,
) -> PromptSet:
    """Prompts from requests and personas: every request directly and under each persona, of which `limit` harmful and
    `votes` harmless ones are drawn, requests and askers as evenly as they go (None takes all). The direction is found
    with all the requests, asked plainly. Raises DataError where either kind is missing."""
    if not harmful or not harmless:
        raise DataError("localized distillation needs harmful and harmless requests.")
    chosen = _draw(harmful, personas, framing, limit, seed)
    voting = _draw(harmless, personas, framing, votes, seed)
    pairs = 1 + len(personas)
    left_out = {
        "harmful: not drawn": pairs * len(harmful) - len(chosen),
        "harmless: not drawn": pairs * len(harmless) - len(voting),
    }
    return PromptSet(
        tuple(chosen),
        tuple(voting),
        tuple(harmful),
        tuple(harmless),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _draw(
    requests: Sequence[Request], personas: Sequence[Persona], framing: str, limit: int | None, seed: int
) -> list[Trial]:
    """Along diagonals of the shuffled matrix: each round takes every request once, under another asker than before."""
    rng = random.Random(seed)
    asked, askers = list(requests), [None, *personas]
    rng.shuffle(asked)
    rng.shuffle(askers)
    size = len(asked) * len(askers)
    count = size if limit is None else min(limit, size)
    places = (divmod(number, len(asked)) for number in range(count))
    drawn = ((asked[place], askers[(place + turn) % len(askers)]) for turn, place in places)
    return [Trial(request, who, framing if who else "direct") for request, who in drawn]
