"""What a study of self-recognition is told: the panel, the texts, the question, the statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from personaproof.core import Recipe, SamplingRecipe, find_recipe, normalise_text

RECIPES = Path(__file__).parent / "recipes"
FIELDS = ("{text}", "{first}", "{second}")


class ClaimQuestion(Recipe):
    """How an evaluator is asked whether it wrote a text. The alternative is worded alike for every writer; only the
    order in which the two answers are offered is swapped, as a control."""

    form: str = 'Who wrote this text? "{text}" Answer {first} or {second}.'
    mine: str = Field("Me", min_length=1)
    other: str = Field("Someone", min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        wrong = [field for field in FIELDS if self.form.count(field) != 1]
        if wrong:
            raise ValueError(f"the form must hold {', '.join(FIELDS)} once each; check {', '.join(wrong)}")
        if normalise_text(self.mine) == normalise_text(self.other):
            raise ValueError("the two answers must differ")
        return self

    def ask(self, text: str, *, mine_first: bool) -> str:
        """The question about `text`."""
        first, second = (self.mine, self.other) if mine_first else (self.other, self.mine)
        # The text last: it may itself hold what looks like a field.
        return self.form.replace("{first}", first).replace("{second}", second).replace("{text}", text.strip())


class RecognizeRecipe(Recipe):
    """Settings of a study. Sampling is from the unmodified distribution by default, so that the mean log-likelihood
    ratio of a persona's own texts is the divergence it stands for."""

    panel: str = "panel"
    """Role pack by name, or a YAML file; each role enters with its first instruction."""
    max_roles: int | None = Field(None, ge=4)
    max_questions: int | None = Field(None, ge=1)
    samples: int = Field(1, ge=1)
    """Texts of each persona to each question."""
    sampling: SamplingRecipe = SamplingRecipe(temperature=1.0, top_p=1.0, max_new_tokens=96)
    seed: int = 0
    framing: str = "auto"
    claim: ClaimQuestion = ClaimQuestion()
    layer: int | None = None
    """At whose input activations are read; the middle one by default."""
    bands: Literal[2, 3] = 3
    """Groups of evaluators by distance from the Assistant."""
    bootstrap: int = Field(2000, ge=200)
    bootstrap_seed: int = 0


def recipe_path(name_or_path: str) -> Path:
    """A built-in recipe by name, or the file at a path. Raises RecipeError naming the nearest built-in one."""
    return find_recipe(name_or_path, RECIPES)
