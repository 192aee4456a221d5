"""Settings of localized on-policy distillation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from personaproof.core import Recipe, load_recipe
from personaproof.directions import Limits
from personaproof.harden.recipe import TrainingRecipe, recipe_path


class DirectionLimits(Recipe):
    """What a direction must do to be taken; see `directions.Limits`, whose published values these are."""

    induce: float = 0.0
    """Least mean refusal score on harmless requests with the vector added."""
    kl: float = Field(default=0.1, gt=0)
    """Most mean KL (nats) on harmless requests with the vector ablated."""
    depth: float = Field(default=0.8, gt=0, le=1)
    """Layers from this part of the depth on are not considered."""

    def build(self) -> Limits:
        return Limits(self.induce, self.kl, self.depth)


class Vote(Recipe):
    """How the safety tokens are elected on harmless prompts, with the published values."""

    tokens: int = Field(default=50, ge=1)
    """Tokens elected."""
    horizon: int = Field(default=7, ge=1)
    """Positions of each of the steered teacher's answers that vote; the paper takes 5 to 7."""
    samples: int = Field(default=8, ge=1)
    """Answers sampled a prompt, at temperature 1."""
    ballots: int = Field(default=200, ge=1)
    """Tokens that a position votes for: those that steering raises most."""
    least_probability: float = Field(default=1e-8, ge=0, lt=1)
    """Tokens below this mean probability under the steered teacher stand for no election."""


class LocalizedRecipe(TrainingRecipe):
    """Localized on-policy distillation (SafeSteer, arXiv 2606.02530).

    The student answers harmful prompts itself; at every token it is pulled to the untrained model steered towards
    refusal, over the safety tokens S alone:

    L = mean over answers of (1/|y|) sum_t D_S(student_t, teacher_t)
    """

    method: str = "localized"
    alpha: float = Field(default=1.0, gt=0)
    """Multiples of the raw refusal direction added to the teacher."""
    direction: Path | None = None
    """A direction saved by `directions.save_direction`, added at its own layer. None finds the refusal direction."""
    limits: DirectionLimits = DirectionLimits()
    """What the direction must do, where it is to be found."""
    vote: Vote = Vote()
    divergence: Literal["partial", "proper"] = "partial"
    """"partial" is the published sum over S, which is no divergence; "proper" adds the mass outside S as one more
    outcome. See `losses.TokenDivergence`."""
    batch_rows: int = Field(default=4, ge=1)
    """Prompts an optimiser step, each answered once: 25 steps for 100 prompts."""
    temperature: float = Field(default=1.0, gt=0)
    """The student's, when it answers."""
    max_new_tokens: int = Field(default=256, ge=1)
    learning_rate: float = Field(default=1e-5, gt=0)


def load_localized(name_or_path: str = "localized", *overrides: str) -> LocalizedRecipe:
    """The recipe of that name or path, with ``key=value`` overrides."""
    return load_recipe(LocalizedRecipe, recipe_path(name_or_path), overrides)
