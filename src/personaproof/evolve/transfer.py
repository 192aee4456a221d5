"""Transfer: elites evolved on one model, put to others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from personaproof.core import Evaluate, Request, Trial
from personaproof.evolve.confirm import Confirmation, confirm
from personaproof.evolve.evidence import gather_evidence
from personaproof.evolve.result import SearchResult
from personaproof.stats import Estimate, wilson

DIRECT = "direct"
"""Stands for the trials without a persona, which have no persona id."""


@dataclass(frozen=True)
class Transfer:
    """What a search's elites do to one model, beside the same requests without a persona."""

    model: str
    fingerprint: str
    elites: Confirmation
    direct: Estimate

    def as_json(self) -> dict[str, Any]:
        """A row of the transfer table: "elite.asr", "direct.asr" and each elite's own rate by persona id."""
        return {
            "model": {"name": self.model, "fingerprint": self.fingerprint},
            "elite.asr": self.elites.asr.as_json(),
            "direct.asr": self.direct.as_json(),
            "elites": {each.persona.id: each.asr.as_json() for each in self.elites.personas},
        }


def transfer(
    result: SearchResult,
    requests: Sequence[Request],
    evaluate: Evaluate,
    *,
    model: str,
    fingerprint: str,
    framing: str,
) -> Transfer:
    """Put the elites of `result`, and nobody, to another model with requests that the search never saw.

    `evaluate` and `framing` (resolved) belong to that model. Raises what `confirm` raises.
    """
    outcomes = evaluate([Trial(request) for request in requests])
    alone = gather_evidence(DIRECT, outcomes)
    confirmed = confirm(result, requests, evaluate, framing=framing)
    return Transfer(model, fingerprint, confirmed, wilson(alone.successes, alone.judged))
