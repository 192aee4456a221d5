"""Difference in means: the direction from one set of activations to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from personaproof.directions.record import Means, Passage, Position, mean_activations
from personaproof.engines import TransformersEngine


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
    """At every layer's input (Arditi et al. 2024; Chen et al. 2025). Raises as `mean_activations`."""
    return Difference(
        tuple(positions), mean_activations(engine, positive, positions), mean_activations(engine, negative, positions)
    )
