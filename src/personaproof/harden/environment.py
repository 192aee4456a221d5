"""What a training needs of the machine, the installation and the launcher, checked before anything is loaded."""

from __future__ import annotations

import os
from importlib.util import find_spec

import torch

from personaproof.core import RecipeError
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.processes import splits_weights
from personaproof.harden.recipe import TrainingRecipe

TRACKERS = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "mlflow": ("mlflow",)}
"""Packages of each tracker, one of which must be there."""


def check_environment(recipe: TrainingRecipe) -> None:
    """Raises RecipeError, saying what to install or to change, where this recipe cannot be trained here and now."""
    _check_quantisation(recipe)
    if isinstance(recipe, AIRRecipe) and find_spec("trl") is None:
        raise RecipeError(f"method={recipe.method} trains with TRL; pip install 'personaproof[grpo]'.")
    for tracker in recipe.report_to:
        if not any(find_spec(package) for package in TRACKERS[tracker]):
            raise RecipeError(
                f"report_to: {tracker} is not installed; pip install 'personaproof[{tracker}]', or leave it out."
            )
    _check_sharding(recipe)


def _check_quantisation(recipe: TrainingRecipe) -> None:
    if recipe.mode != "qlora":
        return
    if not torch.cuda.is_available():
        raise RecipeError(
            "mode=qlora needs a CUDA GPU, and there is none here; use mode=lora, which trains the same adapter on the "
            "unquantised model."
        )
    if find_spec("bitsandbytes") is None:
        raise RecipeError(
            "mode=qlora needs bitsandbytes; pip install 'personaproof[qlora]', or use mode=lora if the unquantised "
            "model fits."
        )


def _check_sharding(recipe: TrainingRecipe) -> None:
    """The losses read the output head's weight outside its module, so it must be whole on every process, and trained
    there only where its gradient is shared."""
    deepspeed = os.environ.get("ACCELERATE_USE_DEEPSPEED", "false").lower() == "true"
    if deepspeed and os.environ.get("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2") == "3":
        raise RecipeError(
            "DeepSpeed ZeRO-3 splits the output head, which the losses need whole; use ZeRO-2 (`personaproof export "
            "launch deepspeed-zero2`), or FSDP for an adapter (`personaproof export launch fsdp`)."
        )
    if not splits_weights():
        return
    if os.environ.get("FSDP_VERSION", "1") != "2":
        raise RecipeError("FSDP version 1 is not supported; use version 2 (`personaproof export launch fsdp`).")
    if recipe.mode != "lora":
        raise RecipeError(
            f"under FSDP only mode=lora can be trained, not mode={recipe.mode}; for full use DeepSpeed ZeRO-2 "
            "(`personaproof export launch deepspeed-zero2`), for qlora plain data-parallel processes (`personaproof "
            "export launch multi-gpu`)."
        )
