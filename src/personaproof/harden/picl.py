"""PICL on the transformers Trainer: one forward pass of the student, one of the live teacher, one joint loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback

from personaproof.core import ModelError
from personaproof.harden.batch import collate, totals
from personaproof.harden.collate import EncodedRow
from personaproof.harden.forward import base_of, final_hidden, without_dropout
from personaproof.harden.frozen import FrozenRow
from personaproof.harden.losses import (
    OutputHead,
    Teacher,
    dpo_loss,
    sequence_mean,
    sequence_nll,
    sequence_sum,
    token_logprobs,
    token_logprobs_and_kl,
)
from personaproof.harden.recipe import PICLRecipe
from personaproof.harden.rows import Row
from personaproof.harden.schedule import split_by_length

LABELS = {
    "preference": ("dpo", "chosen_nll", "pic"),
    "sft": ("", "nll", ""),
    "preserve": ("", "preserve_nll", "preserve_kl"),
}
"""What the training curve calls the DPO, NLL and KL terms of each kind of row."""


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
    batch: Mapping[str, Any], hidden: Tensor, head: OutputHead, teachers: Sequence[Teacher], beta: float
) -> RowTerms:
    """Terms of the rows of a collated `batch`, from the student's final hidden states (N, width) at its positions and
    the teachers' at the first of them, in order."""
    owner, targets, rows = batch["owner"], batch["targets"], len(batch["rows"])
    sequences = int(batch["input_ids"].shape[0])
    logprobs, divergences, start = [], [], 0
    for teacher in teachers:
        part = slice(start, start + len(teacher.hidden))
        logprob, divergence = token_logprobs_and_kl(hidden[part], head, targets[part], teacher)
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
        self.rows_in_step: list[Row] = []
        self._terms: dict[str, list[float]] = {}
        self.add_callback(_FiniteGradients(self))

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset if train_dataset is None else train_dataset)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        """This pass' share of the step's joint loss. Raises ModelError naming the rows whose loss is not finite."""
        base = base_of(self.model)
        hidden = final_hidden(model, base, inputs["input_ids"], inputs["attention_mask"], inputs["positions"])
        terms = row_terms(inputs, hidden, self.head, self._teachers(inputs, base), self.recipe.beta)
        losses = terms.weighted(inputs["coefficients"])
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
            self._terms = {}
            self.rows_in_step = []
        super().log(logs, start_time)

    def _teachers(self, inputs: Any, base: Any) -> list[Teacher]:
        teachers = []
        if "live_input_ids" in inputs:
            with without_dropout(self.model, self.dtype):
                hidden = final_hidden(
                    self.model, base, inputs["live_input_ids"], inputs["live_attention_mask"], inputs["live_positions"]
                )
            teachers.append(Teacher(hidden, self.head))
        if "frozen_hidden" in inputs:
            teachers.append(Teacher(inputs["frozen_hidden"], self.frozen_head))
        return teachers

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


class _FiniteGradients(TrainerCallback):  # type: ignore[misc]
    """Stops before a gradient that is not finite reaches the weights, naming the rows of the step."""

    def __init__(self, trainer: PICLTrainer) -> None:
        self.trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        gradients = [p.grad for p in kwargs["model"].parameters() if p.grad is not None]
        if gradients and not all(torch.isfinite(g).all() for g in gradients):
            rows = "; ".join(row.describe() for row in self.trainer.rows_in_step[:3])
            raise ModelError(
                f"step {state.global_step + 1}: the gradient is not finite (rows of the step begin with {rows}); "
                "lower learning_rate or train with dtype=float32."
            )


def _only_pass(passes: list[dict[str, Any]]) -> dict[str, Any]:
    [only] = passes
    return only
