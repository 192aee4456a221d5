"""A direction in a model's activations, and where it came from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import ModelError, content_id
from personaproof.directions.structure import Anatomy, anatomy
from personaproof.engines import TransformersEngine


@dataclass(frozen=True, eq=False)
class Direction:
    """`vector` is (width,), float32, at the input of block `layer`, as long as the difference it came from."""

    vector: Tensor
    layer: int
    position: str
    """Name of the position rule that the activations were read by."""
    method: str
    """What it is a direction of, such as "refusal" or "trait:compliant"."""
    model: str
    fingerprint: str
    """The engine's: weights, adapters, tokenizer, template."""
    architecture: str
    template: str
    """Hash of the chat template."""
    data: str
    """Hash of the requests, instructions and settings it was made from."""
    activation_norm: float
    """Mean length of the activations at this layer and position: what a dose is large or small against."""

    def __post_init__(self) -> None:
        if self.vector.ndim != 1 or self.vector.dtype != torch.float32:
            raise ValueError(f"a direction is one float32 vector, not {self.vector.dtype} {tuple(self.vector.shape)}")
        if not bool(torch.isfinite(self.vector).all()) or not bool(self.vector.any()):
            raise ValueError("a direction needs a length that is finite and not zero")

    @property
    def norm(self) -> float:
        return float(self.vector.norm())

    @property
    def id(self) -> str:
        """By content: the vector's bytes, its place and where it came from."""
        about = [self.layer, self.position, self.method, self.fingerprint, self.template, self.data]
        return content_id("direction", [vector_id(self.vector), *about])


def vector_id(vector: Tensor) -> str:
    """Names a tensor by its numbers in float32, in which it is used: what two machines compute in float64 may differ in
    the last bit."""
    numbers = vector.detach().cpu().float().contiguous().numpy()
    return content_id("vector", [list(numbers.shape), hashlib.sha256(numbers.astype("<f4").tobytes()).hexdigest()])


def template_hash(engine: TransformersEngine) -> str:
    """Names the chat template, by its text."""
    return content_id("template", str(engine.tokenizer.get_chat_template()))


def check_fits(direction: Direction, engine: TransformersEngine, *, same_weights: bool = True) -> None:
    """Raises ModelError where `direction` was not made for this model. Without `same_weights` a model of the same shape
    and template passes, such as the one before or after hardening."""
    parts = anatomy(engine)
    check_shape(direction, parts)
    if direction.template != template_hash(engine):
        raise ModelError(
            f"the direction was read under another chat template than that of {engine.name!r}; make it anew here."
        )
    if same_weights and direction.fingerprint != engine.fingerprint:
        raise ModelError(
            f"the direction was made from {direction.model!r}, whose weights, adapter or tokenizer differ from those "
            f"of {engine.name!r}; make it anew, or allow other weights of the same shape (same_weights=False)."
        )


def check_shape(direction: Direction, parts: Anatomy) -> None:
    """Raises ModelError where the width, layer or architecture is another model's."""
    if direction.architecture != parts.architecture or len(direction.vector) != parts.width:
        raise ModelError(
            f"a direction of {len(direction.vector)} numbers from {direction.model!r} ({direction.architecture}) does "
            f"not fit a model of width {parts.width} ({parts.architecture})."
        )
    parts.check_layer(direction.layer)


def describe_source(engine: TransformersEngine, parts: Anatomy) -> dict[str, Any]:
    """The fields of a Direction that say which model it is from."""
    return {
        "model": engine.name,
        "fingerprint": engine.fingerprint,
        "architecture": parts.architecture,
        "template": template_hash(engine),
    }
