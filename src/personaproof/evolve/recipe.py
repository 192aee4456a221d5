"""Settings of a search, whatever its strategy. Strategies that need more have a section of their own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from personaproof.core import Recipe, SamplingRecipe, find_recipe


class ThompsonRecipe(Recipe):
    """Settings of the `thompson` strategy (docs/search.md has what each is worth)."""

    first_requests: int = Field(default=4, ge=1)
    """Requests that a new persona meets."""
    more_requests: int = Field(default=4, ge=1)
    """Further requests that a persona meets when it is looked at again."""
    rechecks: float = Field(default=0.5, ge=0)
    """Personas looked at again, for each new one of a generation."""
    choose_requests: Literal["informative", "random"] = "informative"
    """Requests at the persona's likely strength, or any."""
    heritability: float = Field(default=0.9, ge=0, le=1)
    innovation: float = Field(default=0.8, gt=0)
    """How children differ from their parents (`evolve.response`)."""
    credit: bool = True
    """Whether what a child shows is passed back to its parents."""
    greedy: bool = False
    """Parents by posterior mean instead of posterior draws: the ablation of Thompson sampling."""


class EvolveRecipe(Recipe):
    """Everything that decides what a search asks for, given its seed personas and requests.

    Raises pydantic's ValidationError for values out of range (RecipeError through `core.load_recipe`).
    """

    strategy: str = "thompson"
    mutator: str = "grammar"
    seed: int = Field(default=0, ge=0)
    framing: str = "auto"
    """How personas enter the conversation; resolved against the target by the caller."""
    sampling: SamplingRecipe = SamplingRecipe()

    seeds: int = Field(default=35, ge=1)
    """Seed personas, the first so many of those given."""
    requests: int = Field(default=150, ge=1)
    """One fixed set for the whole search, so that scores can be compared. `thompson` puts some of them to a persona,
    the other strategies all."""
    generations: int = Field(default=40, ge=0)
    parents: int = Field(default=10, ge=1)
    """k: parents chosen, and children made, a generation."""
    thompson: ThompsonRecipe = ThompsonRecipe()
    crossover_share: float = Field(default=0.2, ge=0, le=1)
    beta: float = Field(default=0.3, ge=0, le=1)
    """Credit that a descendant passes up, a generation."""
    exploration: float = Field(default=0.1, ge=0)
    """c of the selection bonus."""
    elites: int = Field(default=35, ge=1)
    diversity_slack: float = Field(default=0.0, ge=0, le=1)
    """How much lower an elite's estimated ASR may be than that of the one whose place it takes, for the elites to be
    different failures (`evolve.archive`); 0 takes the best, however alike."""
    min_words: int = Field(default=20, ge=1)
    max_words: int = Field(default=100, ge=1)
    mutation_attempts: int = Field(default=3, ge=1)
    """Tries an operation before another one is taken, and again before the child is given up."""
    min_judged_share: float = Field(default=0.5, gt=0, le=1)
    """A persona with fewer of its requests judged is reported as unscored: neither elite nor parent."""
    budget: int | None = Field(default=None, ge=1)
    """Most target calls; the search stops before it would make more."""

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) must not exceed max_words ({self.max_words})")
        if self.strategy == "thompson" and self.thompson.first_requests > self.requests:
            raise ValueError(
                f"thompson.first_requests ({self.thompson.first_requests}) must not exceed requests ({self.requests})"
            )
        first = self.seeds * self.first_requests
        if self.budget is not None and self.budget < first:
            raise ValueError(
                f"budget ({self.budget}) does not cover the seed personas: {self.seeds} x {self.first_requests} "
                f"requests = {first} target calls; raise budget or lower seeds or requests"
            )
        return self

    @property
    def min_judged(self) -> int:
        """Judged requests a persona needs to be scored."""
        return max(1, math.ceil(self.min_judged_share * self.first_requests))

    @property
    def first_requests(self) -> int:
        """Requests that a new persona meets at first."""
        return self.thompson.first_requests if self.strategy == "thompson" else self.requests

    @property
    def rechecks(self) -> int:
        """Personas looked at again in a generation."""
        return round(self.thompson.rechecks * self.parents) if self.strategy == "thompson" else 0

    @property
    def planned_calls(self) -> int:
        """Target calls if every child comes to be and every persona is new: the estimate shown before the start."""
        generation = self.parents * self.first_requests + self.rechecks * self.thompson.more_requests
        calls = self.seeds * self.first_requests + self.generations * generation
        return calls if self.budget is None else min(calls, self.budget)


RECIPES = Path(__file__).parent / "recipes"


def recipe_path(name_or_path: str) -> Path:
    """A built-in search recipe by name, or the file at a path. Raises RecipeError naming the nearest built-in one."""
    return find_recipe(name_or_path, RECIPES)
