"""Recipes of hardening: what every method shares."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from personaproof.core import Recipe, find_recipe


class LoRA(Recipe):
    """Low-rank adapter settings (the paper's: rank 16 on the attention projections)."""

    rank: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: float = Field(default=0.05, ge=0, lt=1)
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


class TrainingRecipe(Recipe):
    """What every hardening method needs to know about optimisation."""

    how = frozenset({"micro_batch_rows", "gradient_checkpointing", "checkpoint_every", "report_to"})

    method: str = "picl"
    mode: Literal["lora", "qlora", "full"] = "lora"
    """"qlora" is an adapter on a base quantised to 4 bits (nf4, doubly quantised); it needs CUDA and bitsandbytes."""
    lora: LoRA = LoRA()
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """"auto" is bfloat16 where the processor computes in it, float32 otherwise."""
    learning_rate: float = Field(default=1e-6, gt=0)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps over which the learning rate rises; it then falls along a cosine."""
    epochs: float = Field(default=1.0, gt=0)
    max_steps: int | None = Field(default=None, ge=1)
    """Optimiser steps; where given, it decides instead of `epochs`."""
    micro_batch_rows: int | None = Field(default=None, ge=1)
    """Rows a forward pass and process; None is the whole step at once. Smaller saves memory and changes no result but
    by rounding, and by which activations `lora.dropout` drops."""
    max_length: int | None = Field(default=None, ge=8)
    """Tokens of context and response; longer rows and prompts are left out and counted (a
    meta-group, which must stay whole, is refused). None is what the model can take."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    seed: int = 0
    checkpoint_every: int = Field(default=50, ge=1)
    gradient_checkpointing: bool = False
    """Keep no activations inside a layer and compute them again in the backward pass: about a third slower, far less
    memory, the same losses."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()
    """Trackers that get every step's losses."""

    @property
    def trains_adapter(self) -> bool:
        """Whether what comes out is a PEFT adapter and not a whole model."""
        return self.mode != "full"


RECIPES = Path(__file__).parent / "recipes"


def recipe_path(name_or_path: str) -> Path:
    """A built-in recipe by name, or the file at a path. Raises RecipeError naming the nearest built-in one."""
    return find_recipe(name_or_path, RECIPES)
