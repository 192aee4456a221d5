"""PICL as a hardening method: rows to tokens, the untrained model's view of them, the schedule, the Trainer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback

from personaproof.core import DataError, RecipeError
from personaproof.harden.checkpoints import MarkComplete, newest_whole
from personaproof.harden.forward import base_of, choose_attention, output_head
from personaproof.harden.method import Method, Training, TrainingJob
from personaproof.harden.optimisation import common_arguments, one_device
from personaproof.harden.picl.batch import has_weight
from personaproof.harden.picl.collate import EncodedRow, RowEncoder
from personaproof.harden.picl.frozen import frozen_rows
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.harden.picl.rows import Row, RowSet
from personaproof.harden.picl.sharded import ShardedPICLTrainer
from personaproof.harden.picl.trainer import PassDataset, PICLTrainer
from personaproof.harden.processes import processes, splits_weights
from personaproof.harden.reporting import Report, curve_of
from personaproof.harden.schedule import schedule, step_sizes


def train_picl(job: TrainingJob) -> Training:
    """Train the job's model in place. Raises RecipeError for a recipe of another method, DataError when no row is of
    use, ModelError when a loss or gradient is not finite."""
    recipe = job.recipe
    if not isinstance(recipe, PICLRecipe):
        raise RecipeError(f"PICL needs a PICLRecipe, not a {type(recipe).__name__}.")
    if not isinstance(job.data, RowSet):
        raise DataError(f"PICL learns from training rows, not from a {type(job.data).__name__}.")
    config = base_of(job.model).config.get_text_config()
    encoder = RowEncoder(job.tokenizer, job.name, _eos_ids(job.model))
    longest = recipe.max_length or int(config.max_position_embeddings)
    encoded, left_out = _usable(job.data.rows, recipe, encoder, longest)

    choose_attention(job.model, max(row.longest for row in encoded))
    head = output_head(job.model)
    frozen_pic = recipe.teacher == "frozen" and recipe.pic_weight > 0
    frozen = frozen_rows(job.model, head, encoded, encoder.pad_id, job.dtype, frozen_pic=frozen_pic)

    count = processes().num_processes
    steps, size = step_sizes(len(encoded), recipe.batch_rows, recipe.epochs, recipe.max_steps)
    if size < count:
        raise RecipeError(f"{size} rows a step cannot be shared by {count} processes; raise batch_rows.")
    parts = math.ceil(size / (count * (recipe.micro_batch_rows or size)))
    parts = min(parts, size // count)
    strata = [(row.row.kind, row.row.persona is not None, row.row.request.harmful) for row in encoded]
    batches = schedule(strata, size, steps, recipe.seed)
    trainer = (ShardedPICLTrainer if splits_weights() else PICLTrainer)(
        recipe=recipe,
        head=head,
        frozen_head=head if recipe.trains_adapter else head.frozen(),
        dtype=job.dtype,
        model=job.model,
        processing_class=job.tokenizer,
        # An item of the dataset is a whole forward pass.
        args=one_device(TrainingArguments(per_device_train_batch_size=1, **common_arguments(job, steps, parts))),
        train_dataset=PassDataset(batches, parts * count, encoded, frozen, recipe, encoder.pad_id),
        callbacks=[MarkComplete(), *job.callbacks, *([Report(job.progress)] if job.progress else [])],
    )
    trainer.remove_callback(PrinterCallback)  # it would print every step's losses in the middle of the progress bar
    checkpoint = newest_whole(job.checkpoints)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return Training(int(trainer.state.global_step), curve_of(trainer.state.log_history), left_out)


def _usable(
    rows: Sequence[Row], recipe: PICLRecipe, encoder: RowEncoder, longest: int
) -> tuple[list[EncodedRow], dict[str, int]]:
    weighty = [row for row in rows if has_weight(row, recipe)]
    left_out = Counter(f"{row.kind}: no weight in this recipe" for row in rows if not has_weight(row, recipe))
    encoded = encoder.encode(weighty)
    fitting = [row for row in encoded if row.longest <= longest]
    for row in encoded:
        if row.longest > longest:
            left_out[f"{row.row.kind}: over {longest} tokens"] += 1
    if not fitting:
        reasons = "; ".join(f"{n} x {reason}" for reason, n in sorted(left_out.items())) or "none were given"
        raise DataError(f"no training row is of use ({reasons}).")
    return fitting, dict(sorted(left_out.items()))


def _eos_ids(model: Any) -> set[int]:
    ids = getattr(base_of(model), "generation_config", None)
    eos = getattr(ids, "eos_token_id", None)
    return set() if eos is None else {int(i) for i in (eos if isinstance(eos, list) else [eos])}


picl = Method("picl", PICLRecipe, train_picl)
