"""What a loop is made of before it runs: its settings, who and what each part may see, and how many calls it takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import Field

from personaproof.audit import AuditRecipe
from personaproof.core import Persona, Recipe, Request
from personaproof.data import prove_disjoint, split_personas, split_requests
from personaproof.evolve import EvolveRecipe
from personaproof.harden.picl.gather import TrainingData
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.harden.recipe import RECIPES
from personaproof.harden.validation import ValidationRecipe


class LoopRecipe(Recipe):
    """Settings of one round. `seed` governs the splits, the answers, the searches and the training."""

    seed: int = Field(0, ge=0)
    evolve: EvolveRecipe = EvolveRecipe()
    harden: PICLRecipe = PICLRecipe()
    audit: AuditRecipe = AuditRecipe()
    training_personas: int = Field(16, ge=1)
    """Personas trained on: of the training search, ASR at least `training_threshold`, chosen to differ."""
    training_threshold: float = Field(0.6, ge=0, le=1)
    training_requests: int = Field(40, ge=1)
    """Harmful requests that training rows are made from; of the benign ones all are, but those of the validation."""
    benign_per_persona: int = Field(12, ge=1)
    validation: ValidationRecipe = ValidationRecipe()
    """On personas of families and on training requests that no row is made from."""


@dataclass(frozen=True)
class LoopSplits:
    """Who and what each part of the loop may see. `proof` goes into the manifest."""

    personas: Mapping[str, Sequence[Persona]]
    """"training", "validation" (watched while training) and "held_out": the seeds of the searches."""
    harmful: Mapping[str, Sequence[Request]]
    """"training" (search and rows), "search" (held-out and fresh search), "evaluation", and in self-play "check"."""
    benign: Mapping[str, Sequence[Request]]
    """"training" and "evaluation"."""
    proof: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        personas: Sequence[Persona],
        harmful: Sequence[Request],
        benign: Sequence[Request],
        seed: int,
        *,
        check: float = 0.0,
    ) -> LoopSplits:
        """Seeded splits; `check` is the share of the harmful requests set apart, out of the evaluation's, to decide
        when self-play has done enough. Raises DataError where there are too few families or intents."""
        people = split_personas(personas, {"training": 0.4, "validation": 0.2, "held_out": 0.4}, seed)
        shares = {"training": 0.4, "search": 0.2, "evaluation": 0.4 - check} | ({"check": check} if check else {})
        bad = split_requests(harmful, shares, seed)
        good = split_requests(benign, {"training": 0.5, "evaluation": 0.5}, seed)
        proof = {
            "personas": prove_disjoint(people),
            "harmful": prove_disjoint(bad),
            "benign": prove_disjoint(good),
        }
        return cls(people, bad, good, proof)


def planned_calls(recipe: LoopRecipe, splits: LoopSplits) -> int:
    """Target calls of a whole loop at most: the estimate shown before the start."""
    elites = min(recipe.evolve.elites, recipe.evolve.seeds + recipe.evolve.generations * recipe.evolve.parents)
    most = recipe.audit.max_requests
    sizes = (len(splits.harmful["evaluation"]), len(splits.benign["evaluation"]))
    harmful, benign = sizes if most is None else (min(size, most) for size in sizes)
    audit = (elites + 1) * (harmful + benign) * recipe.audit.samples
    trained = min(recipe.training_requests, len(splits.harmful["training"]))
    everyone = recipe.training_personas + len(splits.personas["training"])
    rows = trained * (recipe.training_personas + TrainingData.direct_samples + 1) + everyone * recipe.benign_per_persona
    validation = validation_calls(recipe, rows)
    return 4 * recipe.evolve.planned_calls + 2 * audit + rows + elites * harmful + validation


def validation_calls(recipe: LoopRecipe, rows: int) -> int:
    """Answers at most that watching one training on at most so many rows takes."""
    training, look = recipe.harden, recipe.validation
    steps = training.max_steps or math.ceil(training.epochs * rows / training.batch_rows)
    return (2 + steps // look.every) * 2 * look.requests * (look.personas + 1)


def loop_recipe(name: str) -> dict[str, Any]:
    """Values of a built-in loop recipe, with the PICL recipe of the same name as its `harden` part; the defaults where
    there is only the latter."""
    path = RECIPES / "loop" / f"{name}.yaml"
    loop = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    picl = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**loop, "harden": picl}
