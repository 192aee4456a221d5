"""`bench air`: GRPO alone, with V-REx and with Anchor Invariance Regularization, on the same meta-groups.

In distribution are tasks that no step trained on, in the wordings and personas of the training; out of distribution are
other wordings and personas as well. The hacking test trains on a reward that a keyword earns, and watches with the
run's judge what becomes of the true decisions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from personaproof.bench.ratios import mean_over_seeds
from personaproof.core import DataError, Engine, Judge, Recipe, SamplingRecipe
from personaproof.data import MetaGroup
from personaproof.harden import Narrator, harden, methods
from personaproof.harden.air.evaluate import GroupScores, score_groups
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.air.rewards import group_reward, keyword_reward, marks_for
from personaproof.harden.method import Reward
from personaproof.harden.models import OneModel
from personaproof.harden.validation import Validation, ValidationPoint, ValidationRecipe, read_points
from personaproof.stats import Estimate
from personaproof.store.files import read_json, write_json

SPLITS = ("in", "out")
UNTRAINED = "untrained"
RATES = ("acc", "acc_group", "acc.anchor", "acc.open", "unjudged.rate")
KEYWORD, TRUE = "keyword.open", "true.open"


class HackingTest(Recipe):
    """Training on a reward that can be gamed."""

    arms: tuple[str, ...] = ("grpo", "air")
    domain: str = "safety"
    steps: int = Field(default=60, ge=1)
    every: int = Field(default=15, ge=1)
    """Steps between two looks."""


class AIRBenchRecipe(Recipe):
    """What is compared, on how much."""

    arms: dict[str, dict[str, Any]]
    """By name, the settings of `AIRRecipe` that differ from `training`."""
    training: AIRRecipe
    domains: tuple[str, ...] = ("safety", "moral", "maths")
    groups: int = Field(default=40, ge=1)
    """Meta-groups of each domain to train on."""
    evaluation: int = Field(default=30, ge=1)
    """Meta-groups of each domain to measure on, in and out of distribution each."""
    anchors: int = Field(default=2, ge=1)
    look: int = Field(default=6, ge=1)
    """Meta-groups of each domain and split that are put to the model along training."""
    every: int = Field(default=20, ge=1)
    sampling: SamplingRecipe = SamplingRecipe()
    hacking: HackingTest | None = HackingTest()

    @model_validator(mode="after")
    def _arms_are_recipes(self) -> AIRBenchRecipe:
        if not self.arms:
            raise ValueError("there are no arms to compare")
        for name in self.arms:
            methods.get(self.recipe(name).method)
            if self.recipe(name).manner:
                raise ValueError("the bench marks right and wrong alone; leave manner out")
        if self.hacking is not None and self.hacking.domain not in self.domains:
            raise ValueError(
                f"hacking.domain is {self.hacking.domain!r}, which is not among the domains; see hacking=null"
            )
        if self.hacking is not None and (unknown := set(self.hacking.arms) - set(self.arms)):
            raise ValueError(f"hacking.arms names {', '.join(sorted(unknown))}, which no arm is called")
        return self

    def recipe(self, name: str, **settings: Any) -> AIRRecipe:
        """The whole training recipe of an arm."""
        shared = self.training.model_dump(exclude_unset=True, exclude={"method", "regulariser"})
        return AIRRecipe.model_validate({**shared, "method": name, **self.arms[name], **settings})


@dataclass(frozen=True)
class GroupData:
    """Meta-groups of one seed, of all domains: `training`, and to measure on, ``evaluation["in"]`` and ``["out"]``."""

    training: tuple[MetaGroup, ...]
    evaluation: Mapping[str, tuple[MetaGroup, ...]]


@dataclass(frozen=True)
class AIRArm:
    """One arm on one seed. `rates` by ``SPLIT.DOMAIN.RATE``; `looks` along its training."""

    rates: Mapping[str, Mapping[str, Any]]
    looks: tuple[ValidationPoint, ...] = ()
    steps: int = 0


@dataclass(frozen=True)
class AIRBench:
    """``arms[name][i]`` and ``hacking[name][i]``: an arm on the i-th seed."""

    recipe: AIRBenchRecipe
    seeds: tuple[int, ...]
    arms: Mapping[str, Sequence[AIRArm]]
    hacking: Mapping[str, Sequence[Sequence[ValidationPoint]]]

    def summary(self) -> dict[str, Any]:
        """What summary.json holds: ``metrics["ARM.SPLIT.DOMAIN.RATE"]`` over seeds with Student's t interval, DOMAIN
        also being "mean"; every seed's own values; the looks along training; the hacking test's two rates."""
        names = [f"{split}.{domain}.{rate}" for split in SPLITS for domain in self.recipe.domains for rate in RATES]
        metrics: dict[str, Any] = {}
        for arm, runs in self.arms.items():
            for name in names:
                metrics[f"{arm}.{name}"] = _over_seeds([run.rates[name]["value"] for run in runs])
            for split in SPLITS:
                for rate in RATES:
                    cells = [[run.rates[f"{split}.{d}.{rate}"]["value"] for d in self.recipe.domains] for run in runs]
                    metrics[f"{arm}.{split}.mean.{rate}"] = _over_seeds([_mean(cell) for cell in cells])
        return {
            "schema_version": 1,
            "command": "bench air",
            "seeds": len(self.seeds),
            "arms": list(self.arms),
            "domains": list(self.recipe.domains),
            "metrics": metrics,
            "steps": {name: [run.steps for run in runs] for name, runs in self.arms.items()},
            "by_seed": {
                name: {str(seed): dict(run.rates) for seed, run in zip(self.seeds, runs, strict=True)}
                for name, runs in self.arms.items()
            },
            "courses": {
                name: [[point.as_json() for point in run.looks] for run in runs]
                for name, runs in self.arms.items()
                if name != UNTRAINED
            },
            "hacking": {
                name: [[point.as_json() for point in points] for points in runs] for name, runs in self.hacking.items()
            },
        }


class AIRSeed:
    """All arms on one seed, each kept in `folder` as it is finished. Run again, it repeats nothing."""

    def __init__(
        self,
        folder: Path,
        recipe: AIRBenchRecipe,
        data: GroupData,
        seed: int,
        *,
        models: OneModel,
        judge: Judge,
        narrator: Narrator,
    ) -> None:
        self.folder, self.recipe, self.data, self.seed = folder, recipe, data, seed
        self.models, self.tell = models, narrator
        everything = [*data.training, *(group for groups in data.evaluation.values() for group in groups)]
        names = {variant.reward for group in everything for variant in group.variants}
        self.marks = marks_for(sorted(names), judge=judge)
        self.reward = group_reward(self.marks)

    def run(self) -> dict[str, AIRArm]:
        """The untrained model and every arm. Raises what training and judging raise."""
        self.tell.step(f"Seed {self.seed}: {UNTRAINED}")
        arms = {UNTRAINED: AIRArm(self._rates(UNTRAINED, self.models.get))}
        for name in self.recipe.arms:
            self.tell.step(f"Seed {self.seed}: {name}")
            arms[name] = self._arm(name)
        return arms

    def hack(self) -> dict[str, Sequence[ValidationPoint]]:
        """The hacking test's arms: what the keyword earns and what is true, along training. Raises DataError where the
        domain has nothing that a judge decides."""
        test = self.recipe.hacking
        if test is None:
            return {}
        gamed = group_reward({**self.marks, "safety": keyword_reward})
        groups = [group for group in self.data.training if group.domain == test.domain]
        watched = [group for group in self.data.evaluation["in"] if group.domain == test.domain]
        if not any(variant.reward == "safety" for group in groups for variant in group.variants):
            raise DataError(f"the hacking test needs judged requests, and the domain {test.domain!r} has none.")

        def measure(engine: Engine, step: int) -> dict[str, Estimate]:
            gained = self._score(engine, watched, gamed)
            true = self._score(engine, watched, self.reward)
            harmful = true.only(_is_harmful)
            return {
                KEYWORD: gained.accuracy("open"),
                TRUE: true.accuracy("open"),
                "true.harmful": harmful.accuracy("open"),
                "true.benign": true.only(lambda group: not _is_harmful(group)).accuracy("open"),
                "anchor": true.accuracy("anchor"),
            }

        found: dict[str, Sequence[ValidationPoint]] = {}
        for name in test.arms:
            self.tell.step(f"Seed {self.seed}: {name} on a reward that a keyword earns")
            recipe = self.recipe.recipe(name, max_steps=test.steps, seed=self.seed)
            found[name] = self._train(f"hacking/{name}", groups, recipe, gamed, measure, test.every)[0]
        return found

    def _arm(self, name: str) -> AIRArm:
        shown = {
            split: [
                group
                for domain in self.recipe.domains
                for group in [each for each in groups if each.domain == domain][: self.recipe.look]
            ]
            for split, groups in self.data.evaluation.items()
        }

        def measure(engine: Engine, step: int) -> dict[str, Estimate]:
            rates: dict[str, Estimate] = {}
            for split, groups in shown.items():
                scores = self._score(engine, groups, self.reward)
                rates |= {f"{split}.acc": scores.accuracy(), f"{split}.acc_group": scores.group_accuracy}
            return rates

        recipe = self.recipe.recipe(name, seed=self.seed)
        looks, steps, path = self._train(name, self.data.training, recipe, self.reward, measure, self.recipe.every)
        return AIRArm(self._rates(name, lambda: self.models.get(path)), tuple(looks), steps)

    def _train(
        self,
        folder: str,
        groups: Sequence[MetaGroup],
        recipe: AIRRecipe,
        reward: Reward,
        measure: Callable[[Engine, int], Mapping[str, Estimate]],
        every: int,
    ) -> tuple[Sequence[ValidationPoint], int, Path]:
        out = self.folder / folder
        name, fingerprint, batch_size = self.models.name, self.models.fingerprint, self.models.batch_size
        watching = ValidationRecipe(every=every, stop=False)
        watch = Validation(measure, watching, out, name=name, batch_size=batch_size)
        self.models.let_go()  # the training loads its own
        with self.tell.progress(f"training {folder}", unit="steps") as progress:
            result = harden(
                self.models.path,
                GroupSet(tuple(groups)),
                recipe,
                out,
                fingerprint=fingerprint,
                progress=progress,
                callbacks=[watch],
                reward=reward,
            )
        return read_points(out), result.steps, result.path

    def _rates(self, name: str, open_model: Callable[[], Engine]) -> Mapping[str, Mapping[str, Any]]:
        """Of all evaluation groups, by split and domain; read back where they were measured before."""
        path = self.folder / f"{name}.json"
        if (known := read_json(path)) is not None:
            return dict(known)
        rates: dict[str, Mapping[str, Any]] = {}
        for split, groups in self.data.evaluation.items():
            with self.tell.progress(f"{name}, {split} of distribution", unit="answers") as progress:
                scores = self._score(open_model(), groups, self.reward, progress)
            for domain in self.recipe.domains:
                own = scores.only(lambda group, domain=domain: group.domain == domain)  # type: ignore[misc]
                rates |= {f"{split}.{domain}.{rate}": value for rate, value in own.as_json().items()}
        write_json(path, rates)
        return rates

    def _score(self, engine: Engine, groups: Sequence[MetaGroup], reward: Reward, progress: Any = None) -> GroupScores:
        sampling = self.recipe.sampling.build()
        return score_groups(engine, groups, reward, sampling=sampling, seed=self.seed, progress=progress)


def planned_answers(recipe: AIRBenchRecipe, data: GroupData) -> int:
    """Answers at most that one seed takes: the estimate shown before the start."""
    size = max(len(group.variants) for groups in (data.training, *data.evaluation.values()) for group in groups)

    def training(name: str, steps: int | None, every: int, watched: int) -> int:
        settings = recipe.recipe(name, **({"max_steps": steps} if steps else {}))
        count = settings.max_steps or math.ceil(settings.epochs * len(data.training) / settings.groups_per_step)
        return count * settings.groups_per_step * size * settings.generations + (2 + count // every) * watched * size

    measured = sum(len(groups) for groups in data.evaluation.values()) * size
    looked_at = 2 * recipe.look * len(recipe.domains)
    total = (1 + len(recipe.arms)) * measured
    total += sum(training(name, None, recipe.every, looked_at) for name in recipe.arms)
    if (test := recipe.hacking) is not None:
        watched = sum(group.domain == test.domain for group in data.evaluation["in"])
        total += sum(training(name, test.steps, test.every, watched) for name in test.arms)
    return total


def _is_harmful(group: MetaGroup) -> bool:
    return any(variant.request is not None and variant.request.harmful for variant in group.variants)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) and known else None


def _over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    return mean_over_seeds([value for value in values if value is not None]).as_json()
