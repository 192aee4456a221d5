"""The model to train: loaded as engines load it, with a fresh adapter where the recipe asks for one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import BitsAndBytesConfig

from personaproof.core import RecipeError
from personaproof.engines._loading import choose_device, choose_dtype, load_model
from personaproof.harden.recipe import TrainingRecipe


def training_dtype(wanted: str) -> torch.dtype:
    """The precision of the matrix products; "auto" as for engines: bfloat16 where the hardware computes in it."""
    return choose_dtype(wanted, choose_device("auto"))


def load_for_training(source: str, recipe: TrainingRecipe, dtype: torch.dtype) -> tuple[Any, Any]:
    """The model (with a fresh LoRA adapter in modes "lora" and "qlora") and its tokenizer, from a local folder or the
    Hub.

    Weights that are trained are float32, whatever `dtype` the products run in; a base under an adapter is held in
    `dtype`, as it will be when the adapter is used, or in 4 bits for "qlora". Raises ModelError when there is no such
    model, RecipeError when no layer has one of the adapter's target names.
    """
    model, tokenizer = load_model(
        source,
        revision=None,
        dtype=dtype if recipe.trains_adapter else torch.float32,
        device=choose_device("auto"),
        trust_remote_code=False,
        quantization=quantization(dtype) if recipe.mode == "qlora" else None,
    )
    if recipe.gradient_checkpointing:
        # The reentrant kind would give no gradient to an adapter whose input, a frozen embedding, needs none.
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return (_with_adapter(model, recipe) if recipe.trains_adapter else model), tokenizer


def quantization(dtype: torch.dtype) -> BitsAndBytesConfig:
    """QLoRA's 4-bit NormalFloat with double quantisation, products in `dtype` (Dettmers et al. 2023, section 3)."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _with_adapter(model: Any, recipe: TrainingRecipe) -> Any:
    wanted = recipe.lora
    # The output head must stay what it is: the losses read its weight directly.
    if {"lm_head", "embed_tokens"} & set(wanted.target_modules):
        raise RecipeError("lora.target_modules: lm_head and embed_tokens cannot carry an adapter; leave them out.")
    linear = {name.rpartition(".")[2] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    if absent := sorted(set(wanted.target_modules) - linear):
        # PEFT itself passes over a name as long as another is found, and would train less than was asked.
        raise RecipeError(
            f"lora.target_modules: no linear layer is called {', '.join(absent)}; "
            f"this model has {', '.join(sorted(linear))}."
        )
    config = LoraConfig(
        r=wanted.rank,
        lora_alpha=wanted.alpha,
        lora_dropout=wanted.dropout,
        target_modules=list(wanted.target_modules),
        exclude_modules=_outside_the_decoder(model, wanted.target_modules) or None,
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(recipe.seed)  # the adapter's random half
    return get_peft_model(model, config)


def _outside_the_decoder(model: Any, targets: Sequence[str]) -> list[str]:
    """Modules of the adapter's names that no text goes through, such as a vision tower's: an adapter there would get no
    gradient, which several processes would wait for."""
    inside = {id(module) for module in model.get_decoder().modules()}
    return [
        name
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in targets and id(module) not in inside
    ]
