"""What interventions do to activations: pure functions on tensors whose last dimension is the model's width.

All compute in float32 or wider and return the type they were given, so that bfloat16 loses nothing but the last
rounding. `direction` is (width,) and need not have length one, except in `add`, where its length is the dose.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def widen(values: Tensor) -> Tensor:
    """In float32, or float64 where it is that already."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def unit(direction: Tensor) -> Tensor:
    """`direction` with length one, in float32 or wider. Raises ValueError for one without a length."""
    direction = widen(direction)
    length = direction.norm()
    if not torch.isfinite(length) or length == 0:
        raise ValueError("a direction needs a length that is finite and not zero")
    scaled: Tensor = direction / length
    return scaled


def component(hidden: Tensor, direction: Tensor) -> Tensor:
    """<h, v> with v of length one: (..., width) to (...), in float32 or wider."""
    hidden = widen(hidden)
    return hidden @ unit(direction).to(hidden)


def add(hidden: Tensor, vector: Tensor, alpha: float) -> Tensor:
    """h + alpha * v, the raw vector (methods: Arditi et al. 2024, addition; 2606.26161, dose)."""
    wide = widen(hidden)
    return (wide + alpha * widen(vector).to(wide)).to(hidden.dtype)


def ablate(hidden: Tensor, direction: Tensor) -> Tensor:
    """h - <h, v> v with v of length one (Arditi et al. 2024, directional ablation)."""
    return _move(hidden, direction, lambda c: torch.zeros_like(c))


def floor(hidden: Tensor, direction: Tensor, tau: float) -> Tensor:
    """h - v * min(<h, v> - tau, 0): no component under `tau` (2601.10387, activation capping, as a floor)."""
    return _move(hidden, direction, lambda c: c.clamp(min=tau))


def cap(hidden: Tensor, direction: Tensor, tau: float) -> Tensor:
    """h - v * max(<h, v> - tau, 0): no component over `tau`."""
    return _move(hidden, direction, lambda c: c.clamp(max=tau))


def _move(hidden: Tensor, direction: Tensor, wanted: Callable[[Tensor], Tensor]) -> Tensor:
    wide = widen(hidden)
    v = unit(direction).to(wide)
    now = wide @ v
    return (wide + (wanted(now) - now)[..., None] * v).to(hidden.dtype)
