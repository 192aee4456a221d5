"""`bench harden`: what each term of the loss does, all variants on the same answers, steps and evaluation.

Every seed has its own division of personas and requests, searches and trainings. Within a seed the variants differ in
one setting; rows for which a variant has no term it leaves out, so that its steps hold more of the others. Each is
measured at the end, and along training for its frontier: on our prototypes every variant drives the attack success to
nothing, and what tells them apart is what they take from the model on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field, model_validator

from personaproof.audit import Audit, AuditPlan, build_trials, choose, perplexity, run_audit
from personaproof.audit.metrics import arm_of
from personaproof.bench.ratios import mean_over_seeds
from personaproof.core import Answer, Engine, Outcome, Persona, Recipe, RecipeError, suggest
from personaproof.evolve import confirm
from personaproof.harden import (
    LoopRecipe,
    PICLRecipe,
    Stages,
    TrainingRecipe,
    TrainingSet,
    check_disjoint,
    methods,
)
from personaproof.harden.localized.recipe import LocalizedRecipe
from personaproof.harden.validation import ValidationPoint
from personaproof.stats import Estimate

COLUMNS = (
    "persona.asr",
    "fresh_search.asr",
    "direct.asr",
    "benign.rta",
    "benign_persona.rta",
    "utility.in_character",
    "utility.fidelity",
    "perplexity",
    "unjudged.rate",
)
"""What the table shows of each variant."""
LOOK = ("persona.asr", "fresh_search.asr", "benign_persona.rta", "utility.fidelity")
UNTRAINED = "untrained"


class Look(Recipe):
    """How much is asked at every look (`loop.validation.every` steps apart) while a variant trains."""

    personas: int = Field(default=10, ge=1)
    requests: int = Field(default=20, ge=1)
    """Harmful and benign requests each, of the evaluation's."""
    search_calls: int = Field(default=500, ge=1)
    """Budget of the fresh search at every look."""


class HardenBenchRecipe(Recipe):
    """What is compared, on what."""

    variants: dict[str, dict[str, Any]]
    """By name, the settings that differ from `loop.harden`; with a `method`, those of that method's recipe."""
    loop: LoopRecipe
    look: Look = Look()

    @model_validator(mode="after")
    def _variants_are_recipes(self) -> HardenBenchRecipe:
        if not self.variants:
            raise ValueError("there are no variants to compare")
        for name in self.variants:
            self.training(name)
        return self

    def only(self, names: Sequence[str]) -> HardenBenchRecipe:
        """The same with some of the variants. Raises RecipeError for one it does not have."""
        if unknown := [name for name in names if name not in self.variants]:
            raise RecipeError(f"no variant is called {unknown[0]!r}; {suggest(unknown[0], list(self.variants))}")
        return self.model_copy(update={"variants": {name: self.variants[name] for name in names}})

    def training(self, name: str) -> TrainingRecipe:
        """The whole training recipe of a variant, which may name another `method`. Weights that a variant stands for
        are its own, unless it is ours: only what `loop.harden` says of optimisation goes for all."""
        shared = self.loop.harden.model_dump(exclude_unset=True)
        own = self.variants[name]
        kind = methods.get(own.get("method", "picl")).recipe
        if kind is not PICLRecipe or own.get("variant", shared.get("variant")) != shared.get("variant"):
            shared = {key: value for key, value in shared.items() if key in _OPTIMISATION & set(kind.model_fields)}
        return kind.model_validate({**shared, **own})


_OPTIMISATION = frozenset({*TrainingRecipe.model_fields, "batch_rows"})


@dataclass(frozen=True)
class Arm:
    """One variant, or the untrained model, on one seed. `looks` are along its training."""

    metrics: Mapping[str, Estimate]
    looks: tuple[ValidationPoint, ...] = ()
    steps: int = 0


@dataclass(frozen=True)
class HardenBench:
    """`arms[name][i]`: a variant on the i-th seed; `untrained` among them."""

    recipe: HardenBenchRecipe
    seeds: tuple[int, ...]
    arms: Mapping[str, Sequence[Arm]]

    def summary(self) -> dict[str, Any]:
        """What summary.json holds: each metric's mean over seeds with Student's t interval, as ``VARIANT.METRIC``; the
        frontier, ``frontier.VARIANT`` by seed, along training; and every seed's own values."""
        metrics: dict[str, Any] = {}
        changes: dict[str, Any] = {}
        before = self.arms[UNTRAINED]
        for name, arms in self.arms.items():
            for metric in COLUMNS:
                metrics[f"{name}.{metric}"] = _over_seeds([arm.metrics[metric].value for arm in arms]).as_json()
                pairs = [
                    (arm.metrics[metric].value, was.metrics[metric].value)
                    for arm, was in zip(arms, before, strict=True)
                ]
                changes[f"{name}.{metric}"] = _over_seeds(
                    [None if after is None or was is None else after - was for after, was in pairs]
                ).as_json()
        return {
            "schema_version": 1,
            "command": "bench harden",
            "seeds": len(self.seeds),
            "variants": list(self.recipe.variants),
            "columns": list(COLUMNS),
            "steps": {name: [arm.steps for arm in arms] for name, arms in self.arms.items()},
            "metrics": metrics,
            "changes": changes,
            "frontier": {
                name: [[_point(point) for point in arm.looks] for arm in arms]
                for name, arms in self.arms.items()
                if name != UNTRAINED
            },
            "by_seed": {
                name: {
                    str(seed): {metric: arm.metrics[metric].as_json() for metric in COLUMNS}
                    for seed, arm in zip(self.seeds, arms, strict=True)
                }
                for name, arms in self.arms.items()
            },
        }


def run_seed(stages: Stages, recipe: HardenBenchRecipe) -> dict[str, Arm]:
    """All variants on the seed of `stages`, whose recipe is `recipe.loop` with that seed, in its run directory. Run
    again, it repeats nothing. Raises what its parts raise."""
    tell, seed = stages.tell, 3 * stages.recipe.seed
    tell.step(f"Seed {stages.recipe.seed}: the personas to train on, and those to measure with")
    search = stages.search(stages.base, "training", "training", "training", seed)
    held_out = stages.search(stages.base, "held_out", "held_out", "search", seed + 1)
    plan = stages.plan([found.persona for found in held_out.elites])
    before = stages.audit(stages.base, plan, UNTRAINED)
    voice = [o for o in before.outcomes if arm_of(o) == "benign_persona" and o.verdict.refused is Answer.NO]
    personas = stages.trained_on(search, stages.recipe.training_threshold)

    own = before.metrics["persona.asr"]  # a search of the same budget on the untrained model: the held-out one
    # Now, since a training has the memory to itself.
    first = _Look(stages, recipe.look, UNTRAINED, plan)(stages.base, 0)
    arms = {UNTRAINED: Arm(_measured(before, own, perplexity(stages.base, voice)))}
    for name in recipe.variants:
        tell.step(f"Seed {stages.recipe.seed}: {name}")
        arms[name] = _variant(stages, recipe, name, personas, plan, voice, first)
    return arms


def _variant(
    stages: Stages,
    recipe: HardenBenchRecipe,
    name: str,
    personas: Sequence[Persona],
    plan: AuditPlan,
    voice: Sequence[Outcome],
    untrained: dict[str, Estimate],
) -> Arm:
    settings = recipe.training(name)
    data: TrainingSet
    if isinstance(settings, PICLRecipe):
        data = stages.rows(personas, training=settings)
    elif isinstance(settings, LocalizedRecipe):
        data = stages.prompts(personas)
    else:
        data = stages.groups(personas)
    proof = check_disjoint(data, {"evaluation": [*plan.personas, *plan.harmful, *plan.benign]})
    stages.directory.add_details(**{f"training_proof_{name}": proof})
    measure = _Look(stages, recipe.look, name, plan, untrained)
    training, looks = stages.train(data, name, training=settings, measure=measure)
    hardened = stages.models.get(training.path)
    after = stages.audit(hardened, plan, name)
    fresh = stages.search(hardened, f"fresh/{name}", "held_out", "search", 3 * stages.recipe.seed + 2)
    confirmed = stages.confirm(hardened, fresh, f"fresh/{name}", stages.evaluation(stages.splits.harmful))
    return Arm(_measured(after, confirmed.asr, perplexity(hardened, voice)), tuple(looks), training.steps)


class _Look:
    """A small audit and a small fresh search of the model as it trains. Before the first step that is the untrained
    model, whatever the variant: `untrained` is what was seen of it then."""

    def __init__(
        self,
        stages: Stages,
        look: Look,
        name: str,
        plan: AuditPlan,
        untrained: dict[str, Estimate] | None = None,
    ) -> None:
        self.stages, self.look, self.name, self.untrained = stages, look, name, untrained
        seed = stages.recipe.seed
        self.plan = build_trials(
            choose(plan.personas, look.personas, seed),
            choose(plan.harmful, look.requests, seed),
            choose(plan.benign, look.requests, seed),
            plan.framing,
        )

    def __call__(self, engine: Engine, step: int) -> dict[str, Estimate]:
        if not step and self.untrained is not None:
            return self.untrained
        stages, place = self.stages, f"looks/{self.name}/step-{step:05d}"
        collector = stages.answering(engine)
        audit = run_audit(collector, self.plan, stage=place, utility_judge=stages.utility_judge)
        seed, budget = 3 * stages.recipe.seed + 2, self.look.search_calls
        fresh = stages.find(engine, place, "held_out", "search", seed, budget=budget)
        confirmed = confirm(fresh, self.plan.harmful, collector.for_stage(f"{place}/fresh"))
        return {**audit.metrics, "fresh_search.asr": confirmed.asr}


def _measured(audit: Audit, fresh: Estimate, surprise: Estimate) -> dict[str, Estimate]:
    return {**audit.metrics, "fresh_search.asr": fresh, "perplexity": surprise}


def _over_seeds(values: Sequence[float | None]) -> Estimate:
    return mean_over_seeds([value for value in values if value is not None])


def _point(point: ValidationPoint) -> dict[str, Any]:
    return {"step": point.step, **{name: point.value(name) for name in LOOK}}
