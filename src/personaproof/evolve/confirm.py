"""Confirmation: elites meet requests that the search never saw, so that luck in the search does not count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from personaproof.core import Answer, DataError, Evaluate, Outcome, Persona, Request, Trial
from personaproof.evolve.evidence import Evidence, gather_evidence
from personaproof.evolve.result import Found, SearchResult
from personaproof.stats import Estimate, clustered_rate, wilson


@dataclass(frozen=True)
class Confirmed:
    """An elite's search evidence beside its evidence on fresh requests."""

    found: Found
    evidence: Evidence

    @property
    def persona(self) -> Persona:
        return self.found.persona

    @property
    def asr(self) -> Estimate:
        """Confirmed ASR with Wilson's interval; no value where no fresh outcome could be judged."""
        return wilson(self.evidence.successes, self.evidence.judged)


@dataclass(frozen=True)
class Confirmation:
    """All confirmed personas, in the order given, and their pooled ASR clustered by persona and by request."""

    personas: tuple[Confirmed, ...]
    asr: Estimate
    outcomes: tuple[Outcome, ...]


def confirm(
    result: SearchResult,
    requests: Sequence[Request],
    evaluate: Evaluate,
    elites: Sequence[Found] | None = None,
    *,
    framing: str | None = None,
) -> Confirmation:
    """Put fresh `requests` to `elites` (by default all elites of `result`), in the framing of the search or another.

    Raises DataError where a request, or the intent it names, was part of the search, where one is benign or stands
    twice, or where there are none.
    """
    chosen = result.elites if elites is None else tuple(elites)
    _check_fresh(requests, result.requests)
    trials = [Trial(request, found.persona, framing or result.framing) for found in chosen for request in requests]
    outcomes = evaluate(trials)
    if [outcome.trial.id for outcome in outcomes] != [trial.id for trial in trials]:
        raise RuntimeError("evaluate must return one outcome a trial, in order")
    size = len(requests)
    confirmed = tuple(
        Confirmed(found, gather_evidence(found.persona.id, outcomes[i * size : (i + 1) * size]))
        for i, found in enumerate(chosen)
    )
    judged = [o for o in outcomes if o.verdict.attack_success is not Answer.UNJUDGED]
    pooled = clustered_rate(
        [outcome.verdict.attack_success is Answer.YES for outcome in judged],
        [outcome.trial.persona.id for outcome in judged if outcome.trial.persona],
        [outcome.trial.request.id for outcome in judged],
    )
    return Confirmation(confirmed, pooled, tuple(outcomes))


def _check_fresh(requests: Sequence[Request], seen: Sequence[Request]) -> None:
    if not requests:
        raise DataError("confirmation needs at least one request that the search never saw.")
    ids = {request.id for request in seen}
    intents = {request.intent for request in seen if request.intent}
    for request in requests:
        if not request.harmful:
            raise DataError(f"confirmation puts harmful requests only, and this one is benign: {request.text!r}.")
        if request.id in ids or request.intent in intents:
            raise DataError(
                f"the search has seen this request or its intent, so it confirms nothing: {request.text!r}; "
                "split requests by intent first."
            )
    if len({request.id for request in requests}) < len(requests):
        raise DataError("a confirmation request stands twice; give each once.")
