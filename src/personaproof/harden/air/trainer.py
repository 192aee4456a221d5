"""TRL's GRPO trainer with an auxiliary loss on whole meta-groups.

GRPO itself stays TRL's: rollouts, rewards, per-prompt advantages, its loss. Added are the order of the rows, a weight
for each rollout made from the rewards of its whole group on all processes, and the auxiliary term of the loss, which
uses the log-probabilities that GRPO's own loss has made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from trl import GRPOTrainer

from personaproof.engines import Prompts
from personaproof.harden.air.groups import MetaGroupSampler, check_whole
from personaproof.harden.air.invariance import (
    Rollouts,
    anchor_means,
    auxiliary_loss,
    gaps,
    prompt_means,
    rollout_weights,
)
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.optimisation import FiniteGradients

WEIGHTS = "invariance_weights"
_KEYS = ("group", "place", "group_size", "role")


class AIRTrainer(GRPOTrainer):  # type: ignore[misc]
    """GRPO on meta-groups; `steps` are the groups of each optimiser step."""

    def __init__(
        self, *, recipe: AIRRecipe, steps: Sequence[Sequence[int]], prompts: Prompts, **arguments: Any
    ) -> None:
        self.recipe, self.steps = recipe, steps
        self._rewards: Tensor | None = None
        self._rows: list[dict[str, Any]] = []
        self._logprobs: Tensor | None = None
        super().__init__(**arguments)
        # Prompts are what the engines make of them, a resumed run's too.
        self.chat_template, self.chat_template_kwargs = prompts.template, prompts.template_variables
        train_in_float32(self.model)
        self.add_callback(FiniteGradients("lower learning_rate or weight, or train with dtype=float32"))

    def _get_train_sampler(self, dataset: Any = None) -> MetaGroupSampler:
        rows = self.train_dataset if dataset is None else dataset
        return MetaGroupSampler(
            self.steps,
            rows[0]["group_size"],
            self.num_generations,
            self.num_iterations * self.args.steps_per_generation,
        )

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        rewards: Tensor = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        # Gathered as the rewards are: process after process.
        self._rows = gather_object([{key: row[key] for key in _KEYS} for row in inputs])
        # The first function decides, others add to it: what it cannot judge has no reward at all, for TRL neither.
        unjudged = torch.isnan(rewards[:, 0])
        rewards[unjudged] = torch.nan
        total = (rewards * self.reward_weights.to(rewards.device)).nansum(dim=1)
        self._rewards = total.masked_fill(unjudged, torch.nan)
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        training = self.model.training
        if training:
            check_whole(self._rows, self.num_generations)
        assert self._rewards is not None
        rollouts = rollouts_of(self._rewards, self._rows)
        weights = rollout_weights(rollouts, self.recipe.regulariser)
        here = self.accelerator.process_index * len(inputs)
        output[WEIGHTS] = weights[here : here + len(inputs)]
        self._note(rollouts, "train" if training else "eval")
        return output

    def _get_per_token_logps_and_entropies(self, *arguments: Any, **options: Any) -> Any:
        made = super()._get_per_token_logps_and_entropies(*arguments, **options)
        self._logprobs = made[0]
        return made

    def _compute_loss(self, model: Any, inputs: Any) -> Tensor:
        loss: Tensor = super()._compute_loss(model, inputs)
        if self.recipe.regulariser == "none":
            return loss
        # The student's: the last that were made, and the only ones with a gradient.
        assert self._logprobs is not None
        extra = auxiliary_loss(self._logprobs, inputs["completion_mask"], inputs[WEIGHTS])
        mode, passes = ("train", self.current_gradient_accumulation_steps) if self.model.training else ("eval", 1)
        # TRL logs the mean over a step's passes, and J is their sum.
        self._metrics[mode]["invariance_loss"].append(self.accelerator.gather(extra.detach()).sum().item() * passes)
        # The weights hold the mean over the whole step. Passes of a step add up; processes are averaged.
        processes: int = self.accelerator.num_processes
        return loss + self.recipe.weight * extra * processes

    def _note(self, rollouts: Rollouts, mode: str) -> None:
        """What the groups did, for the log: rewards of anchors and open prompts, the mean gap between them, and the
        share of rollouts that could not be judged."""
        means, gap = prompt_means(rollouts), gaps(rollouts, "air")
        anchor = torch.zeros_like(means, dtype=torch.bool).index_copy(0, rollouts.prompt, rollouts.anchor)
        numbers = {
            "reward/anchor": anchor_means(rollouts).nanmean(),
            "reward/open": means[~anchor].nanmean(),
            "reward/gap": gap[~anchor].abs().mean(),
            "unjudged": (~rollouts.judged).float().mean(),
        }
        for name, value in numbers.items():
            self._metrics[mode][name].append(value.item())


def train_in_float32(model: torch.nn.Module) -> None:
    """TRL shortens the adapter of a quantised model to bfloat16, where the steps of these methods are smaller than the
    spacing of its numbers: it would hardly move. Called before there is an optimiser."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def rollouts_of(rewards: Tensor, rows: Sequence[Mapping[str, Any]]) -> Rollouts:
    """Rollouts with their prompts and groups numbered in the order in which they appear."""
    prompts: dict[tuple[str, int], int] = {}
    groups: dict[str, int] = {}
    prompt = [prompts.setdefault((row["group"], row["place"]), len(prompts)) for row in rows]
    group = [groups.setdefault(row["group"], len(groups)) for row in rows]
    device = rewards.device
    return Rollouts(
        rewards,
        torch.tensor(prompt, device=device),
        torch.tensor(group, device=device),
        torch.tensor([row["role"] == "anchor" for row in rows], device=device),
    )
