"""What a finished training leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from personaproof.harden.recipe import TrainingRecipe


@dataclass(frozen=True)
class HardenResult:
    """A finished training. `path` holds a PEFT adapter, or the whole model where `recipe.mode` is "full"."""

    path: Path
    base_model: str
    recipe: TrainingRecipe
    rows: Mapping[str, int]
    """Rows by kind and persona, such as ``preference.persona``."""
    left_out: Mapping[str, int]
    """Reason -> outcomes or rows that were not trained on."""
    steps: int
    curve: tuple[Mapping[str, float], ...]
    """An entry a step: "step", "loss", "learning_rate", "grad_norm" and each loss term's mean."""
    seconds: float
    """Wall-clock time of training in the call that finished it."""
