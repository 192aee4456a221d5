"""`bench loss`: time and memory of the joint loss, against the same loss row by row and against DPO alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import Field

from personaproof.bench.loss_case import FORMS, LossCase, LossCost
from personaproof.bench.ratios import geometric_ratio, mean_over_seeds
from personaproof.core import ModelError, Recipe

SHAPES: dict[str, dict[str, Any]] = {
    "small": {"vocabularies": (32_768, 131_072), "width": 512},
    "7b": {"vocabularies": (152_064,), "width": 3_584},
}
"""Output heads by name: `7b` is that of Qwen2.5-7B. All are drawn at random."""
GOALS = {
    "joint_to_dense.seconds": 0.25,
    "joint_to_dense.megabytes": 0.1,
    "joint_to_dpo+teacher.seconds": 1.3,
}
"""The most that each ratio may be, by our own standard."""


class LossBenchRecipe(Recipe):
    """What is measured."""

    vocabularies: tuple[int, ...] = Field(default=(32_768, 131_072), min_length=1)
    width: int = Field(default=512, ge=1)
    rows: int = Field(default=4, ge=1)
    tokens: int = Field(default=512, ge=1)
    """Of each response."""
    repeats: int = Field(default=5, ge=1)
    device: str = "auto"
    dtype: str = "auto"


@dataclass(frozen=True)
class LossBench:
    """`costs[vocabulary][form]`: a measurement a repeat, in their order."""

    recipe: LossBenchRecipe
    costs: Mapping[int, Mapping[str, Sequence[LossCost]]]

    def summary(self) -> dict[str, Any]:
        """What summary.json holds. `metrics`: FORM.seconds_VOCABULARY and FORM.megabytes_VOCABULARY, means over
        repeats. `ratios`: joint_to_FORM.seconds_VOCABULARY and so on, geometric means over repeats, each of one joint
        measurement and the other form's next to it. `agreement`: how far joint and dense are apart, relatively, in loss
        and gradients; the two are one formula, so only rounding may part them."""
        metrics: dict[str, Any] = {}
        ratios: dict[str, Any] = {}
        agreement: dict[str, float] = {}
        for vocabulary, costs in self.costs.items():
            for what in ("seconds", "megabytes"):
                values = {form: [getattr(cost, what) for cost in found] for form, found in costs.items()}
                for form, found in values.items():
                    metrics[f"{form}.{what}_{vocabulary}"] = mean_over_seeds(found).as_json()
                    if form != "joint":
                        pairs = list(zip(values["joint"], found, strict=True))
                        ratios[f"joint_to_{form}.{what}_{vocabulary}"] = geometric_ratio(pairs).as_json()
            for what in ("loss", "chosen_gradient", "rejected_gradient"):
                agreement[f"{what}_{vocabulary}"] = max(
                    abs(getattr(ours, what) / getattr(theirs, what) - 1)
                    for ours, theirs in zip(costs["joint"], costs["dense"], strict=True)
                )
        some = next(iter(self.costs.values()))["joint"][0]
        return {
            "schema_version": 1,
            "command": "bench loss",
            "recipe": self.recipe.model_dump(mode="json"),
            "device": some.device,
            "dtype": some.dtype,
            "threads": some.threads,
            "metrics": metrics,
            "ratios": ratios,
            "goals": GOALS,
            "agreement": agreement,
        }


def run_loss_bench(recipe: LossBenchRecipe, tell: Callable[[str], None]) -> LossBench:
    """Every form at every vocabulary, repeat by repeat and side by side, each in a process of its own. Raises
    ModelError where a measurement fails, as it does without enough memory."""
    costs: dict[int, dict[str, list[LossCost]]] = {v: {form: [] for form in FORMS} for v in recipe.vocabularies}
    for repeat in range(recipe.repeats):
        for vocabulary in recipe.vocabularies:
            for form in FORMS:
                case = LossCase(
                    form, vocabulary, recipe.rows, recipe.tokens, recipe.width, recipe.device, recipe.dtype, repeat
                )
                cost = _in_a_process(case)
                costs[vocabulary][form].append(cost)
                found = f"{cost.seconds:.3f} s, {cost.megabytes:,.1f} MiB"
                tell(f"repeat {repeat + 1}, vocabulary {vocabulary:,}, {form}: {found}")
    return LossBench(recipe, costs)


def _in_a_process(case: LossCase) -> LossCost:
    command = [sys.executable, "-m", "personaproof.bench.loss_case", json.dumps(asdict(case))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}, for want of memory perhaps"])[
            -1
        ]
        raise ModelError(
            f"{case.form} at a vocabulary of {case.vocabulary:,} could not be measured: {reason} "
            "Lower --rows, --tokens or --vocabularies, or choose another --device."
        )
    return LossCost(**json.loads(done.stdout.splitlines()[-1]))
