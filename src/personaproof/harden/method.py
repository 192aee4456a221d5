"""What a hardening method is, and the registry it is found in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import TrainerCallback

from personaproof.core import Persona, Progress, Registry, Request
from personaproof.harden.recipe import TrainingRecipe

Reward = Callable[..., list[float | None]]
"""TRL's signature: ``reward(prompts, completions, **columns)``, one number a completion; None where it cannot tell."""


class TrainingSet(Protocol):
    """What a method learns from: training rows, meta-groups, prompts."""

    @property
    def id(self) -> str:
        """Content id; a folder with a training of another set is refused."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Kind -> how many, such as ``preference.persona``."""
        ...

    @property
    def asked(self) -> Sequence[Request | Persona]:
        """Requests and personas of the set, each once: nothing of them may be part of an evaluation."""
        ...

    @property
    def left_out(self) -> Mapping[str, int]:
        """Reason -> how many were not taken in."""
        ...


@dataclass(frozen=True)
class TrainingJob:
    """What a method gets: the model (with its adapter, where the recipe asks for one) in main memory or on its device,
    and where to keep checkpoints. `name` is what the user called the model."""

    model: Any
    tokenizer: Any
    name: str
    data: TrainingSet
    recipe: TrainingRecipe
    dtype: torch.dtype
    checkpoints: Path
    progress: Progress | None = None
    callbacks: Sequence[TrainerCallback] = ()
    reward: Reward | None = None
    """For methods that learn from rewards."""


@dataclass(frozen=True)
class Training:
    """What a method gives back: the steps it took, an entry a step for the training curve (each with "step", "loss" and
    the method's own terms), and what it could not use (reason -> how many). The job's model is trained in place."""

    steps: int
    curve: tuple[Mapping[str, float], ...]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A named way to train. `train` continues from the newest checkpoint in the job's folder, where there is one."""

    name: str
    recipe: type[TrainingRecipe]
    train: Callable[[TrainingJob], Training]
    memory_advice: str = (
        "run it again with a smaller micro_batch_rows or with gradient_checkpointing=true, which goes on from what is "
        "done, or lower max_length"
    )
    """What to do where memory runs out."""


methods: Registry[Method] = Registry("hardening method", "personaproof.harden.methods")
