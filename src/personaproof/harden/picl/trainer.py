"""PICL on the transformers Trainer: one forward pass of the student, one of the teacher, one joint loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback

from personaproof.core import ModelError, RecipeError
from personaproof.harden.divergence import KL, Divergence
from personaproof.harden.forward import autocast, base_of, final_hidden, without_dropout
from personaproof.harden.head import OutputHead, Teacher
from personaproof.harden.losses import (
    dpo_loss,
    sequence_mean,
    sequence_nll,
    sequence_sum,
    token_logprobs,
    token_logprobs_and_kl,
)
from personaproof.harden.optimisation import FiniteGradients
from personaproof.harden.picl.adaptive import AdaptiveWeight
from personaproof.harden.picl.batch import collate, totals
from personaproof.harden.picl.collate import EncodedRow
from personaproof.harden.picl.ema import WeightAverage
from personaproof.harden.picl.frozen import FrozenRow
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.harden.picl.rows import Row
from personaproof.harden.schedule import split_by_length

LABELS = {
    "preference": ("dpo", "chosen_nll", "pic"),
    "sft": ("", "nll", ""),
    "preserve": ("", "preserve_nll", "preserve_kl"),
}
"""What the training curve calls the DPO, NLL and KL terms of each kind of row."""
MOVING = "moving.safetensors"
"""In a checkpoint: what moves along with the weights and is neither the model's nor the optimiser's."""

Taught = tuple[Teacher, Divergence]
"""A teacher and how far its student is from it."""


@dataclass(frozen=True)
class RowTerms:
    """The unweighted terms of each row, all (rows,): 0 where a row has no such term."""

    dpo: Tensor
    nll: Tensor
    kl: Tensor

    def weighted(self, coefficients: Tensor) -> Tensor:
        """Each row's share of the joint loss, (rows,), for `coefficients` (rows, 3). A term of weight 0 is left out
        altogether, so that it cannot spoil a row by being infinite."""
        stacked = torch.stack([self.dpo, self.nll, self.kl], dim=1)
        return torch.where(coefficients == 0, torch.zeros_like(stacked), stacked * coefficients).sum(dim=1)


def row_terms(
    batch: Mapping[str, Any], hidden: Tensor, head: OutputHead, teachers: Sequence[Taught], beta: float
) -> RowTerms:
    """Terms of the rows of a collated `batch`, from the student's final hidden states (N, width) at its positions and
    the teachers' at the first of them, in order."""
    owner, targets, rows = batch["owner"], batch["targets"], len(batch["rows"])
    sequences = rows + len(batch["pairs"])
    logprobs, divergences, start = [], [], 0
    for teacher, form in teachers:
        part = slice(start, start + len(teacher.hidden))
        logprob, divergence = token_logprobs_and_kl(hidden[part], head, targets[part], teacher, form)
        logprobs.append(logprob)
        divergences.append(divergence)
        start = part.stop
    logprobs.append(token_logprobs(hidden[start:], head, targets[start:]))
    logprob = torch.cat(logprobs)
    kl = logprob.new_zeros(rows)
    if divergences:
        kl = sequence_mean(torch.cat(divergences), owner[:start], rows)
    totals_ = sequence_sum(logprob, owner, sequences)
    pairs, reference = batch["pairs"], batch["reference"]
    pair_losses = dpo_loss(totals_[pairs], totals_[rows:], reference[:, 0], reference[:, 1], beta)
    dpo = logprob.new_zeros(rows).index_copy(0, pairs, pair_losses)
    return RowTerms(dpo, sequence_nll(logprob, owner, sequences)[:rows], kl)


class PassDataset(Dataset[dict[str, Any]]):
    """All forward passes of the training in order; item i is pass i, collated when it is asked for."""

    def __init__(
        self,
        batches: Sequence[Sequence[int]],
        parts: int,
        encoded: Sequence[EncodedRow],
        frozen: Sequence[FrozenRow],
        recipe: PICLRecipe,
        pad_id: int,
    ) -> None:
        """`batches` are the rows of each step, each cut into `parts` passes."""
        self.encoded, self.frozen, self.recipe, self.pad_id = encoded, frozen, recipe, pad_id
        lengths = [row.longest for row in encoded]
        self.passes = [
            (part, totals([encoded[i].row for i in batch]))
            for batch in batches
            for part in split_by_length(batch, lengths, parts)
        ]

    def __len__(self) -> int:
        return len(self.passes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        part, denominators = self.passes[index]
        encoded, frozen = [self.encoded[i] for i in part], [self.frozen[i] for i in part]
        return collate(encoded, frozen, denominators, self.recipe, self.pad_id)


class PICLTrainer(Trainer):  # type: ignore[misc]
    """The Trainer with PICL's loss. Its dataset lays out the passes, so it neither shuffles nor averages anything:
    coefficients already hold the means over the whole step (see `batch.coefficients`)."""

    loss_is_scaled_for_ga = True

    def __init__(
        self, *, recipe: PICLRecipe, head: OutputHead, frozen_head: OutputHead, dtype: torch.dtype, **arguments: Any
    ) -> None:
        super().__init__(data_collator=_only_pass, **arguments)
        self.recipe, self.head, self.frozen_head, self.dtype = recipe, head, frozen_head, dtype
        self.divergence = Divergence(recipe.divergence == "symmetric", recipe.kl_top_k)
        self.rows_in_step: list[Row] = []
        self._terms: dict[str, list[float]] = {}
        self.average = None
        if recipe.teacher == "ema" and recipe.pic_weight > 0:
            if self.is_fsdp_enabled or self.is_deepspeed_enabled:
                raise RecipeError("teacher=ema needs whole weights on every process; use live or frozen when sharding.")
            self.average = WeightAverage(self.model, recipe.ema_decay)
        self.preservation = None if recipe.preserve_target is None else AdaptiveWeight(recipe.preserve_target)
        self.add_callback(FiniteGradients("lower learning_rate or train with dtype=float32", self._rows_of_step))
        self.add_callback(_Steps(self))

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """This pass' share of the step's joint loss. Raises ModelError naming the rows whose loss is not finite."""
        teachers = self._teachers(inputs)
        states = final_hidden(
            model, base_of(self.model), inputs["input_ids"], inputs["attention_mask"], inputs["positions"]
        )
        scored = len(inputs["targets"])
        hidden, plain = states[:scored], states[scored:]
        if len(plain):  # the persona-free half of a symmetric divergence, from the student's own pass
            teachers.insert(0, (Teacher(plain, self.head), self.divergence))
        # As the reference was made (`frozen_rows`); the Trainer's own mixed precision ends with the model's pass.
        with autocast(self.model, self.dtype):
            terms = row_terms(inputs, hidden, self.head, teachers, self.recipe.beta)
        losses = terms.weighted(self._coefficients(inputs))
        self.rows_in_step += inputs["rows"]
        self._check(losses, inputs["rows"])
        self._note(terms, inputs)
        # Data-parallel training averages gradients over processes; the coefficients ask for their sum.
        processes: int = self.accelerator.num_processes
        return losses.sum() * processes

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds to the loss that the Trainer logs each term's mean over the rows of the step that have it, unweighted,
        over all processes."""
        if "loss" in logs:
            gathered: dict[str, list[float]] = {}
            for terms in gather_object([self._terms]):
                for name, values in terms.items():
                    gathered.setdefault(name, []).extend(values)
            logs = {**logs, **{name: sum(values) / len(values) for name, values in sorted(gathered.items())}}
            if self.preservation is not None:
                logs["preserve_weight"] = self.preservation.factor * self.recipe.preserve_weight
            self._terms = {}
            self.rows_in_step = []
        super().log(logs, start_time)

    def after_step(self) -> None:
        """Move along what follows the weights, once the optimiser has changed them."""
        if self.average is not None:
            self.average.update()
        if self.preservation is not None:
            parts: list[list[float]] = gather_object([self._terms.get("preserve_kl", [])])
            if values := [value for part in parts for value in part]:
                self.preservation.update(sum(values) / len(values))

    def _teachers(self, inputs: Any) -> list[Taught]:
        """The teachers that are no part of the student's own pass, in the order of the positions they teach."""
        teachers: list[Taught] = []
        if "plain_input_ids" in inputs:
            averaged = nullcontext() if self.average is None else self.average.in_place()
            with averaged, without_dropout(self.model, self.dtype):
                hidden = final_hidden(
                    self.model,
                    base_of(self.model),
                    inputs["plain_input_ids"],
                    inputs["plain_attention_mask"],
                    inputs["plain_positions"],
                )
            head = self.head if self.average is None else self.average.head(self.head)
            teachers.append((Teacher(hidden, head), self.divergence))
        if "frozen_pic" in inputs:
            teachers.append((Teacher(inputs["frozen_pic"], self.frozen_head), self.divergence))
        if "frozen_preserve" in inputs:
            teachers.append((Teacher(inputs["frozen_preserve"], self.frozen_head), KL))
        return teachers

    def _coefficients(self, inputs: Any) -> Tensor:
        coefficients: Tensor = inputs["coefficients"]
        if self.preservation is None:
            return coefficients
        factors = [self.preservation.factor if row.kind == "preserve" else 1.0 for row in inputs["rows"]]
        return coefficients * coefficients.new_tensor(factors)[:, None]

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        state = {f"average.{name}": value for name, value in (self.average.values if self.average else {}).items()}
        if self.preservation is not None:
            state["preservation"] = torch.tensor(self.preservation.factor, dtype=torch.float64)
        if state and self.args.should_save:
            save_file(state, Path(output_dir) / MOVING)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None or (self.average is None and self.preservation is None):
            return
        state = load_file(Path(checkpoint) / MOVING)
        if self.preservation is not None:
            self.preservation.factor = state.pop("preservation").item()
        if self.average is not None:
            self.average.load({name.removeprefix("average."): value for name, value in state.items()})

    def _rows_of_step(self) -> str:
        return f" (rows of the step begin with {'; '.join(row.describe() for row in self.rows_in_step[:3])})"

    def _check(self, losses: Tensor, rows: Sequence[Row]) -> None:
        finite = torch.isfinite(losses.detach()).tolist()
        if bad := [row.describe() for row, ok in zip(rows, finite, strict=True) if not ok]:
            more = f" (and {len(bad) - 3} more)" if len(bad) > 3 else ""
            raise ModelError(
                f"step {self.state.global_step + 1}: the loss of {'; '.join(bad[:3])}{more} is not finite; lower "
                "learning_rate, train with dtype=float32, or take the row out."
            )

    def _note(self, terms: RowTerms, inputs: Any) -> None:
        """Keep the terms that weigh in the loss, for the log."""
        values = torch.stack([terms.dpo, terms.nll, terms.kl], dim=1).detach().tolist()
        weights = inputs["coefficients"].tolist()
        for i, row in enumerate(inputs["rows"]):
            for name, value, weight in zip(LABELS[row.kind], values[i], weights[i], strict=True):
                if weight > 0:
                    self._terms.setdefault(name, []).append(value)


class _Steps(TrainerCallback):  # type: ignore[misc]
    """Tells the trainer that the weights have changed."""

    def __init__(self, trainer: PICLTrainer) -> None:
        self.trainer = trainer

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.after_step()


def _only_pass(passes: list[dict[str, Any]]) -> dict[str, Any]:
    [only] = passes
    return only
