"""Interventions as context managers: every forward inside the block is changed, and none after it.

They act while scoring, while generating (`model.generate` and our engine, with or without a cache) and while training;
gradients pass through. Weights are never touched, so the model is bit-identical afterwards, also after an exception. An
engine's fingerprint does not know of them: never collect answers given under an intervention into a store as the
model's own. With gradient checkpointing layers run again in the backward pass, so that belongs inside the block too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import ModelError
from personaproof.directions import numerics
from personaproof.directions.direction import Direction, check_shape
from personaproof.directions.hooks import at_block_inputs, at_outputs
from personaproof.directions.positions import Positions, Tracker, tracking
from personaproof.directions.structure import Anatomy, anatomy


@dataclass(frozen=True, eq=False)
class When:
    """A condition on the activations met: `holds` takes their components along `direction` (unit length), (rows,
    columns), and says where to act, bool of the same shape."""

    direction: Direction | Tensor
    holds: Callable[[Tensor], Tensor]


def steer(
    model: Any,
    direction: Direction | Tensor,
    alpha: float = 1.0,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = "all",
    when: When | None = None,
) -> AbstractContextManager[None]:
    """Add alpha times the raw vector at the input of `layers`, by default the direction's own.

    `model` is an engine, a Hugging Face model or a PEFT model. Raises ModelError where the vector does not fit it, and
    for a bare tensor without layers.
    """
    vector = _vector(direction)
    return _intervene(model, direction, lambda h: numerics.add(h, vector, alpha), layers, positions, when)


def ablate(
    model: Any,
    direction: Direction | Tensor,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = "all",
    when: When | None = None,
) -> AbstractContextManager[None]:
    """Take the direction out of every block input and every attention and MLP output (Arditi et al. 2024).

    With `layers`, only out of the inputs of these blocks: a knockout at a place. What blocks behind them write is left.
    A condition is asked of each activation that is changed, the outputs' too. Models that norm what attention and MLP
    put out once more (Gemma 2 and 3, OLMo 2) may write a little of the direction back before the next block.

    Raises ModelError as `steer`, and where the attention and MLP modules cannot be found.
    """
    vector = _vector(direction)
    return _intervene(
        model, direction, lambda h: numerics.ablate(h, vector), layers, positions, when, everywhere=layers is None
    )


def floor(
    model: Any,
    direction: Direction | Tensor,
    tau: float,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = "all",
    when: When | None = None,
) -> AbstractContextManager[None]:
    """Hold the component along the direction (unit length) at `tau` or above, at the input of `layers`."""
    vector = _vector(direction)
    return _intervene(model, direction, lambda h: numerics.floor(h, vector, tau), layers, positions, when)


def cap(
    model: Any,
    direction: Direction | Tensor,
    tau: float,
    *,
    layers: Sequence[int] | None = None,
    positions: Positions = "all",
    when: When | None = None,
) -> AbstractContextManager[None]:
    """Hold the component along the direction (unit length) at `tau` or below, at the input of `layers`."""
    vector = _vector(direction)
    return _intervene(model, direction, lambda h: numerics.cap(h, vector, tau), layers, positions, when)


@contextmanager
def _intervene(
    model: Any,
    direction: Direction | Tensor,
    edit: Callable[[Tensor], Tensor],
    layers: Sequence[int] | None,
    positions: Positions,
    when: When | None,
    everywhere: bool = False,
) -> Iterator[None]:
    parts = anatomy(model)
    _check(direction, parts)
    if when is not None:
        _check(when.direction, parts)
    if everywhere:
        layers = range(parts.depth)
    elif layers is None:
        if not isinstance(direction, Direction):
            raise ModelError("a bare vector does not say where it belongs; give layers=[...].")
        layers = [direction.layer]
    with tracking(parts.decoder, positions) as tracker:

        def change(hidden: Tensor) -> Tensor:
            return _where(hidden, edit(hidden), tracker, when)

        writers = parts.writers() if everywhere else []
        with at_block_inputs(parts, layers, lambda _, hidden: change(hidden)), at_outputs(writers, change):
            yield


def _where(hidden: Tensor, changed: Tensor, tracker: Tracker, when: When | None) -> Tensor:
    touched = tracker.mask
    if touched is not None and touched.shape != hidden.shape[:2]:
        raise ModelError(
            f"a module of this model works on activations of shape {tuple(hidden.shape)}, in which the positions of "
            f"{tuple(touched.shape)} tokens cannot be told; use positions='all'."
        )
    if when is not None:
        holds = when.holds(numerics.component(hidden, _vector(when.direction).to(hidden.device)))
        touched = holds if touched is None else touched.to(hidden.device) & holds
    return changed if touched is None else torch.where(touched.to(hidden.device)[..., None], changed, hidden)


def _vector(direction: Direction | Tensor) -> Tensor:
    return direction.vector if isinstance(direction, Direction) else direction


def _check(direction: Direction | Tensor, parts: Anatomy) -> None:
    if isinstance(direction, Direction):
        check_shape(direction, parts)
    elif direction.shape != (parts.width,):
        raise ModelError(f"a vector of shape {tuple(direction.shape)} does not fit a model of width {parts.width}.")
    elif not bool(torch.isfinite(direction).all()) or not bool(direction.any()):
        raise ModelError("a vector needs a length that is finite and not zero.")
