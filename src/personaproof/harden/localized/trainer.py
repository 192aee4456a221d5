"""Localized distillation on the transformers Trainer: the student answers, the teacher scores, one divergence a token.

A step's answers come from the policy that the step updates, however many passes it is cut into: weights move only at
its end, and every answer has a random stream of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer

from personaproof.core import ModelError, Sampling, Trial, item_seed
from personaproof.harden.forward import autocast, base_of, final_hidden
from personaproof.harden.head import OutputHead, Teacher
from personaproof.harden.localized.answers import answers_to
from personaproof.harden.localized.losses import TokenDivergence
from personaproof.harden.localized.recipe import LocalizedRecipe
from personaproof.harden.localized.teacher import SteeredTeacher
from personaproof.harden.losses import sequence_mean, token_logprobs_and_kl
from personaproof.harden.optimisation import FiniteGradients
from personaproof.harden.schedule import split_by_length
from personaproof.harden.sequences import Encoder, pack


@dataclass(frozen=True)
class Prompt:
    """A prompt in tokens."""

    trial: Trial
    tokens: tuple[int, ...]

    def describe(self) -> str:
        who = f" as {self.trial.persona.name or self.trial.persona.id}" if self.trial.persona else ""
        return f"{self.trial.request.text[:60]!r}{who}"


class PassDataset(Dataset[dict[str, Any]]):
    """All forward passes of the training in order: which prompts, of which step, and how many the step has."""

    def __init__(self, batches: Sequence[Sequence[int]], parts: int, prompts: Sequence[Prompt]) -> None:
        """`batches` are the prompts of each step, each cut into `parts` passes."""
        lengths = [len(prompt.tokens) for prompt in prompts]
        self.passes = [
            {"rows": part, "step": step, "size": len(batch)}
            for step, batch in enumerate(batches)
            for part in split_by_length(batch, lengths, parts)
        ]

    def __len__(self) -> int:
        return len(self.passes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.passes[index]


class LocalizedTrainer(Trainer):  # type: ignore[misc]
    """The Trainer with the localized loss. Its dataset lays out the passes, so it neither shuffles nor averages."""

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        recipe: LocalizedRecipe,
        prompts: Sequence[Prompt],
        head: OutputHead,
        teacher: SteeredTeacher,
        divergence: TokenDivergence,
        encoder: Encoder,
        ends: Collection[int],
        **arguments: Any,
    ) -> None:
        super().__init__(data_collator=_only_pass, **arguments)
        self.recipe, self.prompts, self.head, self.teacher = recipe, prompts, head, teacher
        self.divergence, self.encoder, self.ends = divergence, encoder, ends
        self.sampling = Sampling(recipe.temperature, 1.0, 0, recipe.max_new_tokens)
        self.rows_in_step: list[Prompt] = []
        self._lengths: list[int] = []
        self._ended: list[bool] = []
        self.add_callback(
            FiniteGradients("lower learning_rate or alpha, or train with dtype=float32", self._prompts_of_step)
        )

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """This pass' share of the step's loss. Raises ModelError naming the prompts whose loss is not finite."""
        rows = [self.prompts[index] for index in inputs["rows"]]
        seeds = [item_seed("student", self.recipe.seed, inputs["step"], row.trial.id) for row in rows]
        prompts = [row.tokens for row in rows]
        try:
            answers = answers_to(self.model, prompts, self.sampling, seeds, self.ends, self.encoder)
        except FloatingPointError as error:
            raise self._not_finite("the student's prediction for one of", rows) from error
        packed = pack(answers, self.encoder.pad_id)
        with self.teacher.steered():
            taught = self.teacher.hidden(packed)
        device = self.head.weight.device
        hidden = final_hidden(
            model,
            base_of(self.model),
            packed.input_ids.to(device),
            packed.attention_mask.to(device),
            packed.positions.to(device),
        )
        teacher = Teacher(taught, self.teacher.head)
        targets = packed.targets.to(device)
        # The Trainer's own mixed precision ends with the model's pass; the teacher's states were made in it.
        with autocast(self.model, self.teacher.dtype):
            _, divergence = token_logprobs_and_kl(hidden, self.head, targets, teacher, self.divergence)
        losses = sequence_mean(divergence, packed.owner.to(device), len(rows))
        self.rows_in_step += rows
        self._check(losses, rows)
        self._lengths += [len(answer.response) for answer in answers]
        self._ended += [answer.response[-1] in self.ends for answer in answers]
        size: int = inputs["size"]
        return losses.sum() / size

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds what the student's answers of the step were like: tokens, and the share that ended by themselves."""
        if "loss" in logs:
            lengths, ended = self._lengths, self._ended
            logs = {**logs, "answer_tokens": sum(lengths) / len(lengths), "ended": sum(ended) / len(ended)}
            self._lengths, self._ended, self.rows_in_step = [], [], []
        super().log(logs, start_time)

    def _prompts_of_step(self) -> str:
        named = "; ".join(row.describe() for row in self.rows_in_step[:3])
        return f" (prompts of the step begin with {named})"

    def _check(self, losses: Tensor, rows: Sequence[Prompt]) -> None:
        finite = torch.isfinite(losses.detach()).tolist()
        if bad := [row for row, ok in zip(rows, finite, strict=True) if not ok]:
            raise self._not_finite("the loss of", bad)

    def _not_finite(self, what: str, rows: Sequence[Prompt]) -> ModelError:
        more = f" (and {len(rows) - 3} more)" if len(rows) > 3 else ""
        named = "; ".join(row.describe() for row in rows[:3])
        return ModelError(
            f"step {self.state.global_step + 1}: {what} {named}{more} is not finite; lower learning_rate or alpha, or "
            "train with dtype=float32."
        )


def _only_pass(passes: list[dict[str, Any]]) -> dict[str, Any]:
    [only] = passes
    return only
