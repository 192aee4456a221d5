"""What trainings on the transformers Trainer have in common, whatever the method: its arguments, and a stop before a
gradient that is not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from transformers import TrainerCallback, TrainingArguments

from personaproof.core import ModelError
from personaproof.harden.method import TrainingJob

Arguments = TypeVar("Arguments", bound=TrainingArguments)


def common_arguments(job: TrainingJob, steps: int, passes: int) -> dict[str, Any]:
    """For TrainingArguments and its kinds: `steps` optimiser steps of `passes` forward passes each on every process."""
    recipe, device = job.recipe, job.model.device.type
    return {
        "output_dir": str(job.checkpoints),
        "max_steps": steps,
        "gradient_accumulation_steps": passes,
        "learning_rate": recipe.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": recipe.warmup,
        "weight_decay": recipe.weight_decay,
        "max_grad_norm": recipe.max_grad_norm,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "bf16": job.dtype == torch.bfloat16,
        "use_cpu": device == "cpu",
        "dataloader_pin_memory": device == "cuda",
        # An adapter's weights are all used in every pass; the whole model's need not be (experts).
        "ddp_find_unused_parameters": False if recipe.trains_adapter else None,
        "remove_unused_columns": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": recipe.checkpoint_every,
        "save_total_limit": 2,  # the older one serves should a kill cut the newer short
        "report_to": list(recipe.report_to) or "none",
        "disable_tqdm": True,
    }


def one_device(arguments: Arguments) -> Arguments:
    """`arguments` for a process that trains on one device. Started without a launcher, the Trainer would cut every pass
    over all the GPUs that it sees (nn.DataParallel), and a pass here is one whole item, with its own denominators."""
    _ = arguments.device  # counting the GPUs comes first, or it would overwrite this
    arguments._n_gpu = 1
    return arguments


class FiniteGradients(TrainerCallback):  # type: ignore[misc]
    """Stops before a gradient that is not finite reaches the weights. `about` says in brackets what the step was made
    of, `advice` what to do."""

    def __init__(self, advice: str, about: Callable[[], str] = str) -> None:
        self.advice, self.about = advice, about

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
        if gradients and not all(torch.isfinite(gradient).all() for gradient in gradients):
            raise ModelError(f"step {state.global_step + 1}: the gradient is not finite{self.about()}; {self.advice}.")
