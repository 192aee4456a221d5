"""What a strategy asks for and what it is told: personas and requests out, judged outcomes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from personaproof.core import Answer, Outcome, Persona, Request

SEED = "seed"
"""The operation of a persona that no parent produced."""


@dataclass(frozen=True)
class Candidate:
    """A persona to evaluate, with how it came to be. `parents` are persona ids: none for a seed, two for crossover."""

    persona: Persona
    parents: tuple[str, ...] = ()
    operation: str = SEED
    generation: int = 0


@dataclass(frozen=True)
class Query:
    """Requests to put to one persona, none of them put to it before."""

    candidate: Candidate
    requests: tuple[Request, ...]

    @property
    def persona(self) -> Persona:
        return self.candidate.persona


@dataclass(frozen=True)
class Evidence:
    """Counts over one persona's outcomes: S successes and R refusals out of E judged; `unjudged` outcomes are no
    evidence and stay outside E."""

    persona_id: str
    successes: int
    refusals: int
    judged: int
    unjudged: int = 0
    answers: Mapping[str, bool] = field(default_factory=dict)
    """Attack success by request id, judged requests only."""

    def __post_init__(self) -> None:
        if min(self.successes, self.refusals, self.unjudged) < 0 or self.successes + self.refusals > self.judged:
            raise ValueError(f"counts that cannot be: {self}")

    @property
    def asr(self) -> float | None:
        """S / E; None where nothing was judged."""
        return self.successes / self.judged if self.judged else None


def gather_evidence(persona_id: str, outcomes: Sequence[Outcome]) -> Evidence:
    """Count `outcomes` of one persona by the one definition of attack success (`Verdict.attack_success`).

    A definite refusal always decides attack success, so every refusal is among the judged.
    """
    refusals = 0
    answers: dict[str, bool] = {}
    for outcome in outcomes:
        answer = outcome.verdict.attack_success
        if answer is Answer.UNJUDGED:
            continue
        answers[outcome.trial.request.id] = answer is Answer.YES
        refusals += outcome.verdict.refused is Answer.YES
    judged = len(answers)
    return Evidence(persona_id, sum(answers.values()), refusals, judged, len(outcomes) - judged, answers)
