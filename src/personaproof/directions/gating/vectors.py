"""The directions that the persona vector is held against, all of its length. Pure functions on float64 tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from personaproof.directions.numerics import unit


def scaled_to(vector: Tensor, length: float) -> Tensor:
    """`vector` (width,) with that length. Raises ValueError for one without a direction."""
    found: Tensor = unit(vector.double()) * length
    return found


def random_directions(width: int, count: int, length: float, seed: int) -> Tensor:
    """(count, width): uniform on the sphere of that radius, the same for the same seed."""
    draws = torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    found: Tensor = draws / draws.norm(dim=-1, keepdim=True) * length
    return found


def orthogonal_part(vector: Tensor, axis: Tensor) -> Tensor:
    """v - (v.a) a with a of length one: what of (width,) `vector` is not along `axis`."""
    a = unit(axis.double())
    v = vector.double()
    return v - (v @ a) * a


def parallel_part(vector: Tensor, axis: Tensor) -> Tensor:
    """(v.a) a: what of `vector` is along `axis`."""
    return vector.double() - orthogonal_part(vector, axis)


def cosine(one: Tensor, other: Tensor) -> float | None:
    """Of two (width,) vectors; None where one has no length. Summed exactly, so that the same numbers give the same
    last bit however they lie in memory, as made or as read back from disk."""
    a, b = one.double(), other.double()
    dot, first, second = (math.fsum((x * y).tolist()) for x, y in ((a, b), (a, a), (b, b)))
    product = math.sqrt(first) * math.sqrt(second)
    return max(-1.0, min(1.0, dot / product)) if product else None
