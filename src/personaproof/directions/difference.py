"""Difference in means: the direction from one set of activations to another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from personaproof.core import DataError
from personaproof.directions.record import DECISION, Means, Passage, Position, mean_activations
from personaproof.engines import TransformersEngine

ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Difference:
    """`vectors` is (positions, layers, width), float64: mean of `positive` minus mean of `negative`. Layers are all of
    the model's, in order."""

    positions: tuple[Position, ...]
    positive: Means
    negative: Means

    @property
    def vectors(self) -> Tensor:
        return self.positive.mean - self.negative.mean

    def differs(self, position: int, layer: int) -> bool:
        """Whether there is more than rounding there: where all texts read alike, as the first layer's input at a token
        of the template, there is nothing to find."""
        length = float(self.vectors[position, layer].norm())
        return length > ROUNDING * float(self.activation_norm[position, layer])

    @property
    def activation_norm(self) -> Tensor:
        """(positions, layers): mean length of the activations of both sides."""
        return (self.positive.norm + self.negative.norm) / 2


def difference_in_means(
    engine: TransformersEngine,
    positive: Sequence[Passage],
    negative: Sequence[Passage],
    positions: Sequence[Position],
) -> Difference:
    """At every layer's input (Arditi et al. 2024; Chen et al. 2025).

    At the decision position answers are compared with answers that open alike, see `matched_weights`: otherwise the
    difference would be one of openers and of places in the text. Raises as `mean_activations`, and DataError where no
    opening occurs on both sides.
    """
    sides = []
    weights = matched_weights(positive, negative) if DECISION in positions else ([], [])
    plain = [position for position in positions if position != DECISION]
    for passages, shares in zip((positive, negative), weights, strict=True):
        parts: dict[Position, tuple[Tensor, Tensor]] = {}
        if plain:
            means = mean_activations(engine, passages, plain)
            parts.update({p: (means.mean[i], means.norm[i]) for i, p in enumerate(plain)})
        if DECISION in positions:
            used = [i for i, share in enumerate(shares) if share > 0]
            means = mean_activations(engine, [passages[i] for i in used], [DECISION], weights=[shares[i] for i in used])
            parts[DECISION] = (means.mean[0], means.norm[0])
        sides.append(
            Means(
                torch.stack([parts[position][0] for position in positions]),
                torch.stack([parts[position][1] for position in positions]),
                len(passages),
            )
        )
    return Difference(tuple(positions), *sides)


def matched_weights(positive: Sequence[Passage], negative: Sequence[Passage]) -> tuple[list[float], list[float]]:
    """A weight for each passage, such that every opening (the answer before its decision) weighs the same on both
    sides: n m / (n + m) for an opening with n and m answers, in equal parts among them. That is the weighting of
    per-opening differences with the least variance. Openings of one side alone weigh nothing.

    Raises DataError where no opening is shared.
    """
    counts = [Counter(map(opening, side)) for side in (positive, negative)]
    shared = {
        tokens: n * counts[1][tokens] / (n + counts[1][tokens]) for tokens, n in counts[0].items() if counts[1][tokens]
    }
    if not shared:
        raise DataError(
            f"none of {len(counts[0])} openings of one side occurs among the {len(counts[1])} of the other, so there "
            "is no decision position to compare; bring more answers."
        )
    first, second = (
        [shared.get(opening(p), 0.0) / count[opening(p)] for p in side]
        for side, count in zip((positive, negative), counts, strict=True)
    )
    return first, second


def opening(passage: Passage) -> tuple[int, ...]:
    """The answer's tokens before the one that decides. Raises DataError where the passage has no decision."""
    if passage.decision is None:
        raise DataError("a passage without a decision has no decision position; leave it out, or read elsewhere.")
    return passage.response[: passage.decision]
