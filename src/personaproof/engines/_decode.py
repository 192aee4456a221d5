"""The decode loop: one token a row a step, from each row's own stream of random numbers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from personaproof.core import Sampling
from personaproof.engines._cached import CachedBatch
from personaproof.engines._sampling import SamplingTable, choose, drawing_device, uniform_stream

COMPACT_BELOW = 0.75
"""Finished rows are dropped once fewer than this part of the rows is still going: each drop copies the cache."""


@dataclass
class Decoded:
    """What one row produced. `tokens` leave out the end-of-turn token, and `logprobs` are one for each of them."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False
    """Whether the model ended its turn; otherwise it ran out of tokens to produce."""


def decode(
    model: Any,
    prompts: Sequence[Sequence[int]],
    settings: Sequence[Sampling],
    seeds: Sequence[int],
    end_of_turn: Collection[int],
) -> list[Decoded]:
    """Continue `prompts`, each with its own settings and seed, until an `end_of_turn` token or its limit of tokens.

    Log-probabilities (nats) are those of the unmodified distribution, whatever the settings sample from.
    """
    steps = max(setting.max_new_tokens for setting in settings)
    batch = CachedBatch(model, prompts, ahead=steps)
    device = drawing_device(batch.logits.device)
    table = SamplingTable(settings, device)
    uniforms = _uniforms(settings, seeds, steps).to(device)
    limits = torch.tensor([setting.max_new_tokens for setting in settings], device=device)
    ends = torch.tensor(sorted(end_of_turn), dtype=torch.long, device=device)
    results = [Decoded() for _ in prompts]
    # rows[i] is the result that row i of the batch belongs to.
    rows = torch.arange(len(prompts), device=device)
    going = torch.ones(len(prompts), dtype=torch.bool, device=device)

    logits = batch.logits
    for step in range(steps):
        logits = logits.float().to(device)
        tokens = choose(logits, table, uniforms[rows, step])
        logprobs = logits.gather(1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        ended = torch.isin(tokens, ends)
        _record(results, rows, going, tokens, logprobs, ended)
        going = going & ~ended & (limits[rows] > step + 1)
        left = int(going.sum())
        if left == 0:
            break
        if left < COMPACT_BELOW * len(rows) and batch.can_keep:
            kept = going.nonzero()[:, 0]
            batch.keep(kept.to(batch.logits.device))
            table.keep(kept)
            rows, going, tokens = rows[kept], going[kept], tokens[kept]
        logits = batch.step(tokens.to(batch.logits.device))
    return results


def _record(
    results: list[Decoded], rows: Tensor, going: Tensor, tokens: Tensor, logprobs: Tensor, ended: Tensor
) -> None:
    columns = zip(rows.tolist(), going.tolist(), tokens.tolist(), logprobs.tolist(), ended.tolist(), strict=True)
    for row, is_going, token, logprob, has_ended in columns:
        if not is_going:
            continue
        if has_ended:
            results[row].stopped = True
        else:
            results[row].tokens.append(token)
            results[row].logprobs.append(logprob)


def _uniforms(settings: Sequence[Sampling], seeds: Sequence[int], steps: int) -> Tensor:
    """(rows, steps) float64; greedy rows draw nothing."""
    table = np.zeros((len(settings), steps))
    for row, (setting, seed) in enumerate(zip(settings, seeds, strict=True)):
        if setting.temperature > 0:
            table[row] = uniform_stream(seed, steps)
    return torch.from_numpy(table)
