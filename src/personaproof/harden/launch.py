"""Configurations of ``accelerate launch`` for training on several GPUs."""

from __future__ import annotations

from pathlib import Path

from personaproof.core import find_recipe

LAUNCH = Path(__file__).parent / "recipes" / "launch"


def launch_path(name: str) -> Path:
    """The file of a built-in configuration. Raises RecipeError naming the nearest one."""
    return find_recipe(name, LAUNCH)
