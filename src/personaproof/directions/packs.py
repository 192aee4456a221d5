"""Trait and role packs: contrasting instructions and questions as YAML, our own or the user's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from personaproof.core import Recipe, builtin_recipes, find_recipe, load_recipe, normalise_text

FOLDER = Path(__file__).parent / "packs"
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Instruction = Annotated[str, StringConstraints(strip_whitespace=True)]


class TraitPack(Recipe):
    """System instructions that call for a trait and for its opposite, and questions that let it show."""

    name: Text
    description: Text
    """The trait, as the end of "To what degree does the answer show someone who ...?"; for the judge."""
    positive: list[Text] = Field(min_length=1)
    negative: list[Text] = Field(min_length=1)
    questions: list[Text] = Field(min_length=1)
    harmful: bool = False
    """Whether the questions are harmful requests, so that going along with one is what shows the trait."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _no_repeats("instructions", [*self.positive, *self.negative])
        _no_repeats("questions", self.questions)
        return self


class RolePack(Recipe):
    """System instructions for the default Assistant ("" for none at all) and for a panel of roles, and questions."""

    name: Text
    default: list[Instruction] = Field(min_length=1)
    roles: dict[Text, list[Text]] = Field(min_length=2)
    questions: list[Text] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _no_repeats("instructions", [*self.default, *(text for texts in self.roles.values() for text in texts)])
        _no_repeats("questions", self.questions)
        empty = [role for role, texts in self.roles.items() if not texts]
        if empty:
            raise ValueError(f"roles without an instruction: {', '.join(empty)}")
        return self


def trait_names() -> list[str]:
    """Traits that ship with the package."""
    return builtin_recipes(FOLDER / "traits")


def role_pack_names() -> list[str]:
    """Role packs that ship with the package."""
    return builtin_recipes(FOLDER / "roles")


def load_trait(name_or_path: str) -> TraitPack:
    """A trait by name or from a YAML file. Raises RecipeError for an unknown name or key and for malformed content."""
    return load_recipe(TraitPack, find_recipe(name_or_path, FOLDER / "traits"))


def load_roles(name_or_path: str) -> RolePack:
    """A role pack by name or from a YAML file; otherwise as `load_trait`."""
    return load_recipe(RolePack, find_recipe(name_or_path, FOLDER / "roles"))


def _no_repeats(what: str, texts: Iterable[str]) -> None:
    repeated = [text for text, count in Counter(map(normalise_text, texts)).items() if count > 1]
    if repeated:
        raise ValueError(f"{what} must differ; several are {repeated[0]!r}")
