"""The whole loop: search, audit, train, audit again, search again. What search and training see is disjoint, by intent
and by lineage family, from what the audits measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from personaproof.audit import Audit, Comparison, build_trials, choose, compare_outcomes, run_audit
from personaproof.audit.plan import AuditPlan
from personaproof.core import (
    Engine,
    Judge,
    Progress,
    RecipeError,
    Request,
    Sampling,
    UtilityJudge,
    resolve_framing,
)
from personaproof.evolve import (
    Confirmation,
    MutationContext,
    SearchResult,
    confirm,
    lineage_recorder,
    mutators,
    run_search,
    search_summary,
    training_personas,
)
from personaproof.harden.gather import TrainingData, gather_rows
from personaproof.harden.leakage import check_disjoint
from personaproof.harden.loop_plan import LoopRecipe, LoopSplits
from personaproof.harden.result import HardenResult
from personaproof.harden.rows import RowSet
from personaproof.harden.train import harden
from personaproof.store import Collector, RunDirectory

SUMMARY_VERSION = 1


class Narrator(Protocol):
    """Tells the user where the loop is."""

    def step(self, title: str) -> None:
        """A new part of the loop begins."""
        ...

    def progress(self, title: str, unit: str = "calls") -> AbstractContextManager[Progress]:
        """A callback (done, total) while some work lasts."""
        ...

    def say(self, text: str) -> None:
        """One line of result."""
        ...


@dataclass(frozen=True)
class LoopResult:
    """`before` and `after` put the same trials to the model and to the hardened model."""

    searches: Mapping[str, SearchResult]
    before: Audit
    after: Audit
    fresh: Confirmation
    """Elites of a new search on the hardened model, on the evaluation requests."""
    training: HardenResult
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
            },
        }


class Loop:
    """One round of search, training and audits in one run directory. Everything it does is kept there, so a killed
    loop run again repeats nothing and ends with the same numbers."""

    def __init__(
        self,
        run: RunDirectory,
        recipe: LoopRecipe,
        splits: LoopSplits,
        *,
        model_path: str,
        open_engine: Callable[[Path | None], Engine],
        judge: Judge,
        utility_judge: UtilityJudge | None,
        narrator: Narrator,
    ) -> None:
        """`open_engine` gives the engine of `model_path` with an adapter, or without one for None."""
        self.run_directory, self.recipe, self.splits = run, recipe, splits
        self.model_path, self.open_engine = model_path, open_engine
        self.judge, self.utility_judge, self.narrator = judge, utility_judge, narrator

    def run(self) -> LoopResult:
        """Raises what its parts raise; finished work is kept."""
        tell, recipe = self.narrator, self.recipe
        base = self.open_engine(None)
        framing = resolve_framing(recipe.evolve.framing, base.supports_system).name

        tell.step("Evolve personas that break the model, to train on")
        training = self._search(base, framing, "training", "training", offset=0)
        tell.step("Evolve held-out personas: other lineage families, other requests")
        held_out = self._search(base, framing, "held_out", "search", offset=1)

        tell.step("Audit the model with the held-out elites and unseen requests")
        plan = self._plan(held_out, framing)
        before = self._audit(base, plan, "before")

        tell.step("Harden: persona-invariant consistency learning")
        rows = self._rows(base, training, framing)
        self.run_directory.add_details(
            training_proof=check_disjoint(rows.rows, {"evaluation": [*plan.personas, *plan.harmful, *plan.benign]})
        )
        hardened_as = self._train(rows, base.fingerprint)

        tell.step("Audit the hardened model, same personas and requests")
        hardened = self.open_engine(hardened_as.path)
        after = self._audit(hardened, plan, "after")

        tell.step("Search the hardened model afresh, with the same budget")
        fresh = self._search(hardened, framing, "fresh", "search", offset=2)
        confirmation = self._confirm(hardened, fresh)

        return LoopResult(
            searches={"training": training, "held_out": held_out, "fresh": fresh},
            before=before,
            after=after,
            fresh=confirmation,
            training=hardened_as,
            comparison=compare_outcomes(before.outcomes, after.outcomes, before.ratings, after.ratings),
            base=(base.name, base.fingerprint),
            hardened=(f"{base.name} + adapter", hardened.fingerprint),
            judge=self.judge.id,
            utility_judge=self.utility_judge.id if self.utility_judge else None,
        )

    def _collector(self, engine: Engine, sampling: Sampling, progress: Progress | None = None) -> Collector:
        return Collector(
            self.run_directory.store, engine, self.judge, sampling=sampling, seed=self.recipe.seed, progress=progress
        )

    def _search(self, engine: Engine, framing: str, name: str, requests: str, offset: int) -> SearchResult:
        seeds = self.splits.personas["training" if name == "training" else "held_out"]
        recipe = self.recipe.evolve.model_copy(update={"seed": 3 * self.recipe.seed + offset})
        if recipe.mutator != "grammar":
            raise RecipeError("the loop varies personas with the grammar mutator; use `evolve` for others.")
        mutator = mutators.get(recipe.mutator)(MutationContext(recipe.min_words, recipe.max_words))
        with self.narrator.progress(f"search {name}") as progress:
            result = run_search(
                recipe,
                seeds,
                self.splits.harmful[requests],
                self._collector(engine, recipe.sampling.build()).for_stage(f"search/{name}"),
                mutator,
                framing=framing,
                record=lineage_recorder(self.run_directory.store),
                progress=progress,
            )
        rate = result.search_asr
        shown = "none could be scored" if rate is None else f"mean search ASR {rate:.2f} (optimistic: selected on)"
        self.narrator.say(f"{len(result.elites)} elites of {len(result.lineage)} personas, {shown}")
        return result

    def _plan(self, search: SearchResult, framing: str) -> AuditPlan:
        return build_trials(
            [found.persona for found in search.elites],
            self._evaluation(self.splits.harmful),
            self._evaluation(self.splits.benign),
            framing,
            self.recipe.audit.samples,
        )

    def _audit(self, engine: Engine, plan: AuditPlan, name: str) -> Audit:
        with self.narrator.progress(f"audit {name}") as progress:
            collector = self._collector(engine, self.recipe.audit.sampling.build(), progress)
            return run_audit(collector, plan, stage=f"audit/{name}", utility_judge=self.utility_judge)

    def _rows(self, engine: Engine, search: SearchResult, framing: str) -> RowSet:
        recipe = self.recipe
        data = TrainingData(
            personas=tuple(training_personas(search, recipe.training_personas, threshold=recipe.training_threshold)),
            bystanders=tuple(self.splits.personas["training"]),
            harmful=tuple(self.splits.harmful["training"][: recipe.training_requests]),
            benign=tuple(self.splits.benign["training"][: recipe.training_requests]),
            benign_per_persona=recipe.benign_per_persona,
        )
        with self.narrator.progress("training answers") as progress:
            collector = self._collector(engine, recipe.audit.sampling.build(), progress)
            rows = gather_rows(collector, data, recipe.harden, framing)
        self.narrator.say(", ".join(f"{count} {kind} rows" for kind, count in rows.counts.items()))
        return rows

    def _train(self, rows: RowSet, fingerprint: str) -> HardenResult:
        recipe = self.recipe.harden.model_copy(update={"seed": self.recipe.seed})
        with self.narrator.progress("training", unit="steps") as progress:
            return harden(
                self.model_path,
                rows,
                recipe,
                self.run_directory.path / "harden",
                fingerprint=fingerprint,
                progress=progress,
            )

    def _confirm(self, engine: Engine, search: SearchResult) -> Confirmation:
        with self.narrator.progress("confirm its elites") as progress:
            collector = self._collector(engine, self.recipe.audit.sampling.build(), progress)
            return confirm(search, self._evaluation(self.splits.harmful), collector.for_stage("audit/fresh"))

    def _evaluation(self, requests: Mapping[str, Sequence[Request]]) -> list[Request]:
        return choose(requests["evaluation"], self.recipe.audit.max_requests, self.recipe.seed)
