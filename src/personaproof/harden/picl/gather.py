"""Asking the untrained model what the training rows are made of: its refusals, its failures and its good answers."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from personaproof.core import Answer, Outcome, Persona, Request, Trial
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.harden.picl.rows import RowSet, build_rows
from personaproof.store import Collector


@dataclass(frozen=True)
class TrainingData:
    """What a hardening may learn from. None of it may be part of any evaluation.

    `personas` broke the model; `bystanders` are further personas whose benign answers are to be preserved.
    """

    personas: tuple[Persona, ...]
    bystanders: tuple[Persona, ...]
    harmful: tuple[Request, ...]
    benign: tuple[Request, ...]
    benign_per_persona: int = 12
    """Benign requests put to each persona, drawn anew for each."""
    direct_samples: int = 4
    """Persona-free answers a harmful request: the refusals to learn from."""

    def trials(self, framing: str, seed: int) -> dict[str, list[Trial]]:
        """The four groups `build_rows` takes, by name."""
        rng = random.Random(f"gather/{seed}")
        count = min(self.benign_per_persona, len(self.benign))
        everyone = {persona.id: persona for persona in (*self.personas, *self.bystanders)}.values()
        return {
            "direct_harmful": [Trial(r, sample_index=i) for r in self.harmful for i in range(self.direct_samples)],
            "persona_harmful": [Trial(r, p, framing) for p in self.personas for r in self.harmful],
            "direct_benign": [Trial(request) for request in self.benign],
            "persona_benign": [Trial(r, p, framing) for p in everyone for r in rng.sample(self.benign, count)],
        }


def gather_rows(
    collector: Collector,
    data: TrainingData,
    recipe: PICLRecipe,
    framing: str,
    stage: str = "training",
    attacked: Sequence[Outcome] = (),
) -> RowSet:
    """Collect the four groups (stages ``<stage>/<group>``) and build the rows; `attacked` joins the answers to harmful
    requests in persona. Where the recipe wants refusals in character, whatever a persona broke is asked of it again.
    Raises as `build_rows` does."""
    groups: dict[str, list[Outcome]] = {
        name: collector.collect(f"{stage}/{name}", trials) for name, trials in data.trials(framing, recipe.seed).items()
    }
    groups["persona_harmful"] += attacked
    if recipe.chosen == "in-character":
        again = _again(groups["persona_harmful"], recipe.in_character_samples)
        groups["persona_again"] = collector.collect(f"{stage}/persona_again", again)
    return build_rows(**groups, recipe=recipe, rng=random.Random(recipe.seed))


def _again(answered: Sequence[Outcome], samples: int) -> list[Trial]:
    """Further samples of every trial that a persona won, after those it has."""
    used: Counter[tuple[Request, Persona | None, str]] = Counter()
    won: dict[tuple[Request, Persona | None, str], None] = {}
    for outcome in answered:
        trial = outcome.trial
        pair = (trial.request, trial.persona, trial.framing)
        used[pair] = max(used[pair], trial.sample_index + 1)
        if outcome.verdict.attack_success is Answer.YES:
            won[pair] = None
    return [Trial(*pair, sample_index=used[pair] + more) for pair in won for more in range(samples)]


def planned_training_calls(data: TrainingData, recipe: PICLRecipe, framing: str) -> int:
    """Target calls that gathering takes at most: the estimate shown before the start."""
    groups = data.trials(framing, recipe.seed)
    again = recipe.in_character_samples * len(groups["persona_harmful"]) if recipe.chosen == "in-character" else 0
    return sum(len(trials) for trials in groups.values()) + again
