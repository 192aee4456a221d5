"""Sampling as pure functions: which tokens survive the settings, and which of them a uniform number picks.

Every item owns a stream of uniform numbers fixed by its seed, one a step, so what is drawn for it depends neither on
its neighbours in the batch nor on the order of work.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from personaproof.core import Sampling
from personaproof.engines._loading import widest_float

NUCLEUS_GUESS = 64
"""Tokens looked at first for the nucleus; rows whose nucleus is wider are sorted whole."""

ROW_BUDGET = 1 << 24
"""Most probabilities held in float64 at once where a row must be looked at whole."""


def uniform_stream(seed: int, steps: int) -> NDArray[np.float64]:
    """`steps` numbers uniform in [0, 1), of 53 bits each, from the Philox counter-based generator keyed by `seed`.

    Raw generator output is used because NumPy promises that it never changes between versions; a longer stream starts
    with the shorter one. (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".)
    """
    raw = np.atleast_1d(np.random.Philox(key=seed).random_raw(steps))
    return np.asarray((raw >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def drawing_device(device: torch.device) -> torch.device:
    """Where tokens are drawn for a model on `device`: there, or on the CPU for Apple's, which has no float64."""
    return device if widest_float(device) == torch.float64 else torch.device("cpu")


class SamplingTable:
    """The settings of a batch's rows as tensors, so that rows with different settings share a step."""

    def __init__(self, settings: Sequence[Sampling], device: torch.device) -> None:
        self.greedy = torch.tensor([s.temperature == 0 for s in settings], device=device)
        # The temperature of a greedy row is never used; 1 keeps the division harmless.
        temperatures = [s.temperature or 1.0 for s in settings]
        self.temperature = torch.tensor(temperatures, dtype=torch.float32, device=device)[:, None]
        self.top_p = torch.tensor([s.top_p for s in settings], dtype=torch.float64, device=device)
        self.top_k = torch.tensor([s.top_k for s in settings], device=device)
        self.all_greedy = all(s.temperature == 0 for s in settings)
        self.any_greedy = any(s.temperature == 0 for s in settings)

    def keep(self, rows: Tensor) -> None:
        """Keep only `rows`, in that order."""
        self.greedy, self.temperature = self.greedy[rows], self.temperature[rows]
        self.top_p, self.top_k = self.top_p[rows], self.top_k[rows]


def choose(logits: Tensor, table: SamplingTable, uniforms: Tensor) -> Tensor:
    """Next tokens (rows,) from float32 `logits` (rows, vocabulary) and float64 `uniforms` (rows,)."""
    if table.all_greedy:
        return logits.argmax(-1)
    probabilities = torch.softmax(logits / table.temperature, dim=-1)
    tokens = sample(probabilities, table.top_p, table.top_k, uniforms)
    return torch.where(table.greedy, logits.argmax(-1), tokens) if table.any_greedy else tokens


def sample(probabilities: Tensor, top_p: Tensor, top_k: Tensor, uniforms: Tensor) -> Tensor:
    """Inverse-CDF draw, in token-id order, from the filtered distribution of each row.

    `probabilities` (rows, vocabulary) float32 sum to 1; `top_p` float64, `top_k` integer and `uniforms` float64 are
    (rows,). First the `top_k` most probable tokens are kept (0 keeps all), then the smallest set of the most probable
    whose share of the kept mass reaches `top_p` (Holtzman et al. 2020). Tokens that tie with the last one kept are kept
    too: bfloat16 logits tie often, and which of them a sort puts first is an accident.
    """
    rows, vocabulary = probabilities.shape
    top_k = torch.where(top_k < vocabulary, top_k, 0)
    filtered = (top_p < 1) | (top_k > 0)
    tokens = torch.empty(rows, dtype=torch.long, device=probabilities.device)
    whole = torch.ones_like(filtered)
    if vocabulary > NUCLEUS_GUESS and bool(filtered.any()):
        values, ids = probabilities.topk(NUCLEUS_GUESS, dim=-1)
        threshold = _threshold(values.double(), top_p, top_k, complete=False)
        # A row's answer is the same either way: the guess is used only where it holds all that is kept, ties included.
        whole = ~filtered | (threshold <= values[:, -1])
        ids, order = ids.sort(dim=-1)
        values = values.gather(1, order).double()
        picked = _inverse_cdf(values * (values >= threshold[:, None]), uniforms)
        tokens = ids.gather(1, picked[:, None])[:, 0]
    remaining = whole.nonzero()[:, 0]
    for chunk in torch.split(remaining, max(1, ROW_BUDGET // vocabulary)) if len(remaining) else ():
        values = probabilities[chunk].double()
        if bool(filtered[chunk].any()):
            ordered = probabilities[chunk].sort(dim=-1, descending=True).values.double()
            threshold = _threshold(ordered, top_p[chunk], top_k[chunk], complete=True)
            values = values * ((values >= threshold[:, None]) | ~filtered[chunk, None])
        tokens[chunk] = _inverse_cdf(values, uniforms[chunk])
    return tokens


def _threshold(ordered: Tensor, top_p: Tensor, top_k: Tensor, *, complete: bool) -> Tensor:
    """The probability (rows,) of the last token kept, from the `ordered` (rows, n) most probable ones, descending.

    Unless `complete`, more tokens follow the n shown; where those may matter, the answer is the last shown.
    """
    last = ordered.shape[1] - 1
    floor = ordered.gather(1, torch.where(top_k > 0, top_k - 1, last).clamp(max=last)[:, None])[:, 0]
    mass = (ordered * (ordered >= floor[:, None])).cumsum(-1)
    # Without top-k the kept mass is 1, whatever part of it `ordered` shows.
    wanted = top_p * torch.where(top_k > 0, mass[:, -1], 1.0)
    reached = (mass < wanted[:, None]).sum(-1).clamp(max=last)
    nucleus = ordered.gather(1, reached[:, None])[:, 0]
    threshold = torch.where(top_p < 1, torch.maximum(nucleus, floor), floor)
    if complete:
        return threshold
    # Tokens beyond the n shown would belong to the top k, by rank or by a tie, so its mass is not known.
    unknown = (top_k > 0) & (floor <= ordered[:, -1])
    return torch.where(unknown, ordered[:, -1], threshold)


def _inverse_cdf(weights: Tensor, uniforms: Tensor) -> Tensor:
    """Index (rows,) at which the running sum of `weights` (rows, n) first exceeds `uniforms` times their total."""
    running = weights.cumsum(-1)
    total = running[:, -1]
    # Below the total even after rounding, so that the index found always has positive weight.
    target = torch.minimum(uniforms * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(running, target[:, None], right=True)[:, 0]
