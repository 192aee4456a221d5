"""A search as summary.json holds it: everything a report needs that the store does not have."""

from __future__ import annotations

from typing import Any

from personaproof.evolve.confirm import Confirmation
from personaproof.evolve.diversity import diversity_summary
from personaproof.evolve.result import SearchResult


def search_summary(result: SearchResult, stage: str, confirmation: Confirmation | None = None) -> dict[str, Any]:
    """JSON values; equal searches give equal summaries. `stage` is where the store has the search's outcomes."""
    return {
        "search_id": result.search_id,
        "stage": stage,
        "strategy": result.recipe.strategy,
        "mutator": result.recipe.mutator,
        "calls": result.calls,
        "stop_reason": result.stop_reason,
        "personas": len(result.lineage),
        "unscored": len(result.unscored),
        "requests": len(result.requests),
        "mutations": dict(result.mutations),
        "elites": [found.persona.id for found in result.elites],
        # Of each elite: what the search believes, and what requests it never saw say.
        "estimates": {found.persona.id: found.estimate for found in result.elites},
        "confirmed": {each.persona.id: each.asr.as_json() for each in confirmation.personas} if confirmation else None,
        # Selected on, hence optimistic: shown beside the confirmed rate and never instead of it.
        "search_asr": result.search_asr,
        "confirmed_asr": confirmation.asr.as_json() if confirmation else None,
        "diversity": diversity_summary(
            {found.persona.text: found.estimate for found in result.elites if found.estimate is not None},
            [each.persona.text for each in result.lineage.candidates],
        ),
        "history": [
            {
                "generation": point.generation,
                "calls": point.calls,
                "best_asr": point.best_asr,
                "elite_asr": point.elite_asr,
                "unscored": point.unscored,
                "unjudged": point.unjudged,
            }
            for point in result.history
        ],
    }
