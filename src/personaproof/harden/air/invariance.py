"""The auxiliary losses on meta-groups, as pure functions: what each prompt's mean reward lacks, and how that weighs its
rollouts.

Rollouts stand in rows. `prompt` numbers the prompt that a rollout answers and `group` the meta-group of that prompt,
both from 0 and without gaps; `anchor` says whether the prompt is an anchor. A reward that is not a number was not
judged: it counts in no mean and its rollout gets no weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from personaproof.harden.air.recipe import Regulariser


@dataclass(frozen=True)
class Rollouts:
    """Rewards (n,) of rollouts, and what they answer: integers `prompt` and `group` (n,), and `anchor` (n,), bool."""

    rewards: Tensor
    prompt: Tensor
    group: Tensor
    anchor: Tensor

    @property
    def judged(self) -> Tensor:
        return ~torch.isnan(self.rewards)


def prompt_means(rollouts: Rollouts) -> Tensor:
    """r_s, (prompts,): each prompt's mean reward over its judged rollouts; nan where none was judged."""
    count = int(rollouts.prompt.max()) + 1
    return _means(rollouts.rewards, rollouts.prompt, rollouts.judged, count)


def anchor_means(rollouts: Rollouts) -> Tensor:
    """r_acr, (groups,): the mean over a group's anchors of their mean rewards; nan where no anchor was judged."""
    means = prompt_means(rollouts)
    group, anchor = _by_prompt(rollouts)
    return _means(means, group, anchor & ~torch.isnan(means), int(rollouts.group.max()) + 1)


def gaps(rollouts: Rollouts, regulariser: Regulariser) -> Tensor:
    """Delta, (prompts,), without gradient (methods of arXiv 2605.20994): see `AIRRecipe.regulariser`.

    Zero for a prompt that the regulariser leaves alone, or that has nothing to be compared with.
    """
    means = prompt_means(rollouts).detach()
    group, anchor = _by_prompt(rollouts)
    if regulariser == "none":
        return torch.zeros_like(means)
    if regulariser == "air":
        gap = torch.where(anchor, torch.zeros_like(means), anchor_means(rollouts)[group] - means)
    else:
        known = ~torch.isnan(means)
        gap = 2 * (_means(means, group, known, int(group.max()) + 1)[group] - means)
    return torch.nan_to_num(gap, nan=0.0)


def rollout_weights(rollouts: Rollouts, regulariser: Regulariser) -> Tensor:
    """Delta_s r_{s,k} / N, (n,): what multiplies -log pi of a rollout in J.

    N counts the judged rollouts that the regulariser is about: the open ones for "air", all for "vrex".
    """
    about = rollouts.judged if regulariser == "vrex" else rollouts.judged & ~rollouts.anchor
    weights = gaps(rollouts, regulariser)[rollouts.prompt] * torch.nan_to_num(rollouts.rewards, nan=0.0)
    return torch.where(about, weights, torch.zeros_like(weights)) / about.sum().clamp(min=1)


def auxiliary_loss(token_logprobs: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    """J over rows: -sum_i weights_i sum_t log pi. `token_logprobs` and `mask` are (rows, time), `weights` (rows,)."""
    return -(weights * (token_logprobs * mask).sum(dim=1)).sum()


def _by_prompt(rollouts: Rollouts) -> tuple[Tensor, Tensor]:
    """Group and role of each prompt, (prompts,)."""
    count = int(rollouts.prompt.max()) + 1
    group = rollouts.group.new_zeros(count).index_copy(0, rollouts.prompt, rollouts.group)
    anchor = rollouts.anchor.new_zeros(count).index_copy(0, rollouts.prompt, rollouts.anchor)
    return group, anchor


def _means(values: Tensor, owner: Tensor, counts: Tensor, owners: int) -> Tensor:
    """Mean of the counted values of each owner, (owners,); nan where none counts."""
    weight = counts.to(values.dtype)
    sums = values.new_zeros(owners).index_add(0, owner, torch.nan_to_num(values, nan=0.0) * weight)
    return sums / values.new_zeros(owners).index_add(0, owner, weight)
