"""Localized distillation as a hardening method: the teacher, the safety tokens, the schedule, the Trainer."""

from __future__ import annotations

import math
from collections.abc import Sequence

from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback

from personaproof.core import DataError, RecipeError, Trial
from personaproof.engines import TransformersEngine
from personaproof.harden.checkpoints import MarkComplete, newest_whole
from personaproof.harden.forward import base_of, choose_attention, output_head
from personaproof.harden.localized.losses import TokenDivergence
from personaproof.harden.localized.prompts import PromptSet
from personaproof.harden.localized.recipe import LocalizedRecipe
from personaproof.harden.localized.steering import find_direction, read_tokens, write_tokens
from personaproof.harden.localized.teacher import SteeredTeacher
from personaproof.harden.localized.tokens import safety_tokens
from personaproof.harden.localized.trainer import LocalizedTrainer, PassDataset, Prompt
from personaproof.harden.method import Method, Training, TrainingJob
from personaproof.harden.optimisation import common_arguments, one_device
from personaproof.harden.processes import processes
from personaproof.harden.reporting import Report, curve_of
from personaproof.harden.schedule import schedule, step_sizes
from personaproof.harden.sequences import Encoder


def train_localized(job: TrainingJob) -> Training:
    """Train the job's model in place. The direction and the safety tokens are kept in ``steering`` beside the
    checkpoints' folder.

    Raises RecipeError for a recipe of another method or several processes, DataError for other data than prompts or
    where no prompt fits, ModelError for a loss or gradient that is not finite, and what `find_direction` and
    `safety_tokens` raise.
    """
    recipe, data = job.recipe, job.data
    if not isinstance(recipe, LocalizedRecipe):
        raise RecipeError(f"localized distillation needs a LocalizedRecipe, not a {type(recipe).__name__}.")
    if not isinstance(data, PromptSet):
        raise DataError(f"localized distillation learns from a PromptSet, not from a {type(data).__name__}.")
    if (count := processes().num_processes) > 1:
        raise RecipeError(f"localized distillation runs in one process, not in {count}; start it without a launcher.")
    engine = TransformersEngine(job.model, job.tokenizer, name=job.name)
    encoder = Encoder(job.tokenizer, job.name, engine.end_of_turn)
    longest = recipe.max_length or int(base_of(job.model).config.get_text_config().max_position_embeddings)
    prompts = _fitting(data.harmful, encoder, longest - recipe.max_new_tokens)
    voters = _fitting(data.harmless, encoder, longest - recipe.vote.horizon)
    if not prompts or not voters:
        raise DataError(
            f"no {'harmless' if prompts else 'harmful'} prompt leaves room for an answer in {longest} tokens; shorten "
            "them, or lower max_new_tokens."
        )
    left_out = {
        f"{kind}: no room for an answer in {longest} tokens": len(given) - len(kept)
        for kind, given, kept in (("harmful", data.harmful, prompts), ("harmless", data.harmless, voters))
        if len(given) > len(kept)
    }

    choose_attention(job.model, max(len(prompt.tokens) for prompt in prompts) + recipe.max_new_tokens)
    steering = job.checkpoints.parent / "steering"
    direction = find_direction(engine, recipe, data, steering)
    teacher = SteeredTeacher(job.model, direction, recipe.alpha, job.dtype, adapter=recipe.trains_adapter)
    elected = read_tokens(steering)
    if elected is None:
        trials = [prompt.trial for prompt in voters]
        elected = safety_tokens(teacher, encoder, engine.end_of_turn, trials, recipe.vote, recipe.seed)
        write_tokens(steering, elected, [job.tokenizer.decode([token]) for token in elected.tokens])

    steps, size = step_sizes(len(prompts), recipe.batch_rows, recipe.epochs, recipe.max_steps)
    parts = math.ceil(size / (recipe.micro_batch_rows or size))
    batches = schedule([prompt.trial.persona is not None for prompt in prompts], size, steps, recipe.seed)
    trainer = LocalizedTrainer(
        recipe=recipe,
        prompts=prompts,
        head=output_head(job.model),
        teacher=teacher,
        divergence=TokenDivergence(tokens=elected.tokens, proper=recipe.divergence == "proper"),
        encoder=encoder,
        ends=engine.end_of_turn,
        model=job.model,
        processing_class=job.tokenizer,
        # An item of the dataset is a whole forward pass.
        args=one_device(TrainingArguments(per_device_train_batch_size=1, **common_arguments(job, steps, parts))),
        train_dataset=PassDataset(batches, parts, prompts),
        callbacks=[MarkComplete(), *job.callbacks, *([Report(job.progress)] if job.progress else [])],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = newest_whole(job.checkpoints)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    return Training(int(trainer.state.global_step), curve_of(trainer.state.log_history), left_out)


def _fitting(trials: Sequence[Trial], encoder: Encoder, longest: int) -> list[Prompt]:
    tokens = encoder.prompts.tokenise([trial.conversation for trial in trials])
    return [Prompt(trial, tuple(each)) for trial, each in zip(trials, tokens, strict=True) if len(each) <= longest]


localized_distillation = Method("localized", LocalizedRecipe, train_localized)
