"""What steers a training: the direction and the safety tokens, made once and kept beside what is trained."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from personaproof.core import DataError
from personaproof.directions import Direction, check_fits, load_direction, refusal_direction, save_direction
from personaproof.engines import TransformersEngine
from personaproof.harden.forward import adapter_off
from personaproof.harden.localized.prompts import PromptSet
from personaproof.harden.localized.recipe import LocalizedRecipe
from personaproof.harden.localized.tokens import SafetyTokens
from personaproof.store.files import read_json, write_json


def find_direction(engine: TransformersEngine, recipe: LocalizedRecipe, data: PromptSet, kept: Path) -> Direction:
    """The direction in the folder `kept` from before an interruption; else the recipe's file, or the refusal direction
    of the model in `engine`, its adapter disabled; kept from now on.

    Raises DataError and NoDirectionError as `refusal_direction`, StoreError and ModelError for a file that is missing,
    damaged or of another model.
    """
    if (kept / "direction.json").exists():
        return load_direction(kept / "direction")
    if recipe.direction is not None:
        direction = load_direction(recipe.direction)
        check_fits(direction, engine, same_weights=False)
    else:
        if not data.refused or not data.answered:
            raise DataError(
                "the refusal direction is found with harmful and harmless requests, and the prompt set holds none; "
                "give them, or name a saved direction in the recipe."
            )
        with adapter_off(engine.model):
            found = refusal_direction(
                engine,
                data.refused,
                data.answered,
                limits=recipe.limits.build(),
                seed=recipe.seed,
            )
        direction = found.direction
    save_direction(direction, kept / "direction")
    return direction


def read_tokens(kept: Path) -> SafetyTokens | None:
    """The safety tokens kept in the folder, or None."""
    known = read_json(kept / "tokens.json")
    if known is None:
        return None
    return SafetyTokens(tuple(known["tokens"]), tuple(known["votes"]), int(known["positions"]))


def write_tokens(kept: Path, elected: SafetyTokens, texts: list[str]) -> None:
    """Keep the safety tokens, with their texts for the reader."""
    write_json(kept / "tokens.json", {**asdict(elected), "texts": texts})
