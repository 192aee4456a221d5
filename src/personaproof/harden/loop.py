"""The whole loop: search, audit, train, audit again, search again. What search and training see is disjoint, by intent
and by lineage family, from what the audits measure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from personaproof.audit import Audit, Comparison, compare_outcomes
from personaproof.evolve import Confirmation, SearchResult, search_summary
from personaproof.harden.leakage import check_disjoint
from personaproof.harden.result import HardenResult
from personaproof.harden.stages import Stages
from personaproof.harden.validation import ValidationPoint

SUMMARY_VERSION = 1


@dataclass(frozen=True)
class LoopResult:
    """`before` and `after` put the same trials to the model and to the hardened model."""

    searches: Mapping[str, SearchResult]
    before: Audit
    after: Audit
    fresh: Confirmation
    """Elites of a new search on the hardened model, on the evaluation requests."""
    training: HardenResult
    validation: tuple[ValidationPoint, ...]
    comparison: Comparison
    base: tuple[str, str]
    hardened: tuple[str, str]
    """Name and fingerprint."""
    judge: str
    utility_judge: str | None

    def summary(self) -> dict[str, Any]:
        """What summary.json holds: no times, so that equal runs give equal bytes."""
        before, after = self.before.metrics_json(), self.after.metrics_json()
        # The audit's personas are the elites of a search with this very budget on the unhardened model.
        before["fresh_search.asr"] = before["persona.asr"]
        after["fresh_search.asr"] = self.fresh.asr.as_json()
        confirmed = {"held_out": before["persona.asr"], "fresh": after["fresh_search.asr"]}
        searches = {name: search_summary(result, f"search/{name}") for name, result in self.searches.items()}
        for name, rate in confirmed.items():
            searches[name]["confirmed_asr"] = rate
        return {
            "schema_version": SUMMARY_VERSION,
            "model": {"name": self.base[0], "fingerprint": self.base[1]},
            "hardened": {"name": self.hardened[0], "fingerprint": self.hardened[1]},
            "judge": self.judge,
            "utility_judge": self.utility_judge,
            "stages": {"before": "audit/before", "after": "audit/after"},
            "before": before,
            "after": after,
            "differences": {name: metric.as_json() for name, metric in self.comparison.metrics.items()},
            "searches": searches,
            "training": {
                "steps": self.training.steps,
                "rows": dict(self.training.rows),
                "left_out": dict(self.training.left_out),
                "curve": [dict(entry) for entry in self.training.curve],
                "validation": [point.as_json() for point in self.validation],
            },
        }


def run_loop(stages: Stages) -> LoopResult:
    """One round of search, training and audits. Raises what its parts raise; finished work is kept."""
    tell, seed = stages.tell, 3 * stages.recipe.seed
    tell.step("Evolve personas that break the model, to train on")
    training = stages.search(stages.base, "training", "training", "training", seed)
    tell.step("Evolve held-out personas: other lineage families, other requests")
    held_out = stages.search(stages.base, "held_out", "held_out", "search", seed + 1)

    tell.step("Audit the model with the held-out elites and unseen requests")
    plan = stages.plan([found.persona for found in held_out.elites])
    before = stages.audit(stages.base, plan, "before")

    tell.step("Harden: persona-invariant consistency learning")
    watched = stages.watched()
    rows = stages.rows(stages.trained_on(training, stages.recipe.training_threshold))
    stages.directory.add_details(
        training_proof=check_disjoint(rows, {"evaluation": [*plan.personas, *plan.harmful, *plan.benign]})
    )
    hardened_as, validation = stages.train(rows, watched=watched)

    tell.step("Audit the hardened model, same personas and requests")
    hardened = stages.models.get(hardened_as.path)
    after = stages.audit(hardened, plan, "after")

    tell.step("Search the hardened model afresh, with the same budget")
    fresh = stages.search(hardened, "fresh", "held_out", "search", seed + 2)
    confirmation = stages.confirm(hardened, fresh, "fresh", stages.evaluation(stages.splits.harmful))

    utility = stages.utility_judge
    return LoopResult(
        searches={"training": training, "held_out": held_out, "fresh": fresh},
        before=before,
        after=after,
        fresh=confirmation,
        training=hardened_as,
        validation=tuple(validation),
        comparison=compare_outcomes(before.outcomes, after.outcomes, before.ratings, after.ratings),
        base=(stages.models.name, stages.models.fingerprint),
        hardened=(f"{stages.models.name} + adapter", hardened.fingerprint),
        judge=stages.judge.id,
        utility_judge=utility.id if utility else None,
    )
