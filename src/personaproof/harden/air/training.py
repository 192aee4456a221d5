"""GRPO on meta-groups as hardening methods: `air`, `vrex` and plain `grpo`."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from datasets import Dataset
from transformers.trainer_callback import PrinterCallback
from trl import GRPOConfig

from personaproof.core import DataError, RecipeError
from personaproof.engines import Prompts
from personaproof.harden.air.groups import GroupSet, schedule
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.air.rewards import format_reward
from personaproof.harden.air.trainer import AIRTrainer
from personaproof.harden.checkpoints import MarkComplete, newest_whole
from personaproof.harden.forward import base_of, choose_attention
from personaproof.harden.method import Training, TrainingJob
from personaproof.harden.optimisation import common_arguments, one_device
from personaproof.harden.processes import processes
from personaproof.harden.reporting import Report, curve_of


def train_groups(job: TrainingJob) -> Training:
    """Train the job's model in place. Raises RecipeError where a step cannot hold whole groups in equal passes,
    DataError for other data than meta-groups or without a reward, ModelError for a gradient that is not finite."""
    recipe, data = job.recipe, job.data
    if not isinstance(recipe, AIRRecipe):
        raise RecipeError(f"method {recipe.method!r} needs an AIRRecipe, not a {type(recipe).__name__}.")
    if not isinstance(data, GroupSet) or job.reward is None:
        raise DataError(f"method {recipe.method!r} learns from meta-groups with a reward.")
    rollouts = recipe.groups_per_step * data.size * recipe.generations
    share = rollouts // processes().num_processes
    if share * processes().num_processes != rollouts:
        raise RecipeError(
            f"a step of {rollouts} rollouts ({recipe.groups_per_step} groups of {data.size} prompts, "
            f"{recipe.generations} each) cannot be shared by {processes().num_processes} processes; change "
            "groups_per_step or generations."
        )
    each_pass = _largest_divisor(share, recipe.micro_batch_rows or share)
    steps = recipe.max_steps or max(1, math.ceil(recipe.epochs * len(data.groups) / recipe.groups_per_step))
    plan = schedule([group.domain for group in data.groups], recipe.groups_per_step, steps, recipe.seed)
    prompts = Prompts(job.tokenizer, job.name)
    _check_roles(prompts, job, data)
    choose_attention(job.model, _longest(prompts, job, data, recipe))
    if job.tokenizer.padding_side != "left":
        job.tokenizer.padding_side = "left"
    trainer = AIRTrainer(
        recipe=recipe,
        steps=plan,
        prompts=prompts,
        model=job.model,
        reward_funcs=[job.reward, format_reward] if recipe.format_reward else [job.reward],
        args=_arguments(job, recipe, steps, each_pass, share // each_pass),
        train_dataset=Dataset.from_list(data.rows()),
        processing_class=job.tokenizer,
        callbacks=[MarkComplete(), *job.callbacks, *([Report(job.progress)] if job.progress else [])],
    )
    trainer.remove_callback(PrinterCallback)
    checkpoint = newest_whole(job.checkpoints)
    with warnings.catch_warnings(), _unread_aloud():
        warnings.filterwarnings("ignore", message=".*lr_scheduler.step.*")
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if hasattr(job.model, "peft_config") and "ref" in job.model.peft_config:
        job.model.delete_adapter("ref")  # TRL's copy of the adapter at the start, for the divergence
    return Training(int(trainer.state.global_step), curve_of(trainer.state.log_history))


@contextmanager
def _unread_aloud() -> Iterator[None]:
    """TRL writes out, prompt and answer, every batch with a rollout that could not be judged. Answers to harmful
    requests do not belong on a terminal, and their share is in the log as "unjudged"."""
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _check_roles(prompts: Prompts, job: TrainingJob, data: GroupSet) -> None:
    """Raises DataError for a system message that the model's chat template would refuse, or drop without a word."""
    if prompts.supports_system:
        return
    for group in data.groups:
        if any(message.role == "system" for variant in group.variants for message in variant.conversation.messages):
            raise DataError(
                f"the meta-group {group.id!r} has a system message, and the chat template of {job.name!r} has no place "
                "for one; write what it says at the beginning of the user's message."
            )


def _longest(prompts: Prompts, job: TrainingJob, data: GroupSet, recipe: AIRRecipe) -> int:
    """Tokens of the longest prompt and a whole answer. Raises DataError where the model cannot take them."""
    conversations = [variant.conversation for group in data.groups for variant in group.variants]
    longest = max(map(len, prompts.tokenise(conversations))) + recipe.max_new_tokens
    config = base_of(job.model).config.get_text_config()
    most = recipe.max_length or int(config.max_position_embeddings)
    if longest > most:
        raise DataError(
            f"the longest prompt and an answer of {recipe.max_new_tokens} tokens make {longest}, and {job.name} takes "
            f"{most}; lower max_new_tokens, or leave that group out."
        )
    return longest


def _largest_divisor(number: int, most: int) -> int:
    """The largest divisor of `number` that is at most `most`: passes of a step are of equal size."""
    return next(size for size in range(min(number, most), 0, -1) if number % size == 0)


def _arguments(job: TrainingJob, recipe: AIRRecipe, steps: int, each_pass: int, passes: int) -> GRPOConfig:
    vllm: dict[str, Any] = {}
    if recipe.vllm is not None:
        vllm = {
            "use_vllm": True,
            "vllm_mode": recipe.vllm.mode,
            "vllm_server_base_url": recipe.vllm.server_base_url,
            "vllm_gpu_memory_utilization": recipe.vllm.gpu_memory_utilization,
            "vllm_tensor_parallel_size": recipe.vllm.tensor_parallel_size,
        }
    config = GRPOConfig(
        per_device_train_batch_size=each_pass,
        steps_per_generation=passes,  # a step's groups are generated together, by the policy that is updated
        num_iterations=1,
        num_generations=recipe.generations,
        max_completion_length=recipe.max_new_tokens,
        temperature=recipe.temperature,
        top_p=recipe.top_p,
        top_k=0,
        beta=recipe.beta,
        loss_type=recipe.loss_type,
        scale_rewards=recipe.scale_rewards,
        disable_dropout=True,  # or rollouts and their log-probabilities would be two policies'
        gradient_checkpointing=recipe.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if recipe.gradient_checkpointing else None,
        **common_arguments(job, steps, passes),
        **vllm,
    )
    return one_device(config)
