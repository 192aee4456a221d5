"""The edits of activations against their closed forms, in float32, bfloat16 and float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaproof.directions import numerics

seeds = st.integers(0, 2**31)


def _data(seed: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64) * 3
    return hidden.to(dtype), torch.randn(8, generator=generator, dtype=torch.float64).to(dtype)


@given(seeds)
def test_ablation_leaves_no_component_and_touches_nothing_else(seed: int) -> None:
    hidden, v = _data(seed)
    out = numerics.ablate(hidden, v)
    r = v / v.norm()
    torch.testing.assert_close(out, hidden - torch.einsum("...i,i,j->...j", hidden, r, r))
    assert numerics.component(out, v).abs().max() < 1e-9
    torch.testing.assert_close(numerics.ablate(out, v), out)
    torch.testing.assert_close(numerics.ablate(hidden, -7 * v), out)


@given(seeds, st.floats(-4, 4))
def test_floor_and_cap_bound_the_component_and_keep_the_rest(seed: int, tau: float) -> None:
    hidden, v = _data(seed)
    r = v / v.norm()
    c = hidden @ r
    torch.testing.assert_close(
        numerics.floor(hidden, v, tau), hidden - r * torch.minimum(c - tau, torch.zeros(()))[..., None]
    )
    torch.testing.assert_close(
        numerics.cap(hidden, v, tau), hidden - r * torch.maximum(c - tau, torch.zeros(()))[..., None]
    )
    # The cap is the floor seen from the other side.
    torch.testing.assert_close(numerics.cap(hidden, v, tau), numerics.floor(hidden, -v, -tau))


@given(seeds, st.floats(-4, 4), st.floats(-4, 4))
def test_addition_is_linear_in_the_dose_and_uses_the_raw_vector(seed: int, one: float, other: float) -> None:
    hidden, v = _data(seed)
    twice = numerics.add(numerics.add(hidden, v, one), v, other)
    torch.testing.assert_close(twice, hidden + (one + other) * v)


@pytest.mark.parametrize("edit", [numerics.ablate, lambda h, v: numerics.floor(h, v, 0.5)])
def test_bfloat16_loses_only_the_last_rounding(edit: object) -> None:
    hidden, v = _data(0, torch.bfloat16)
    out = edit(hidden, v)  # type: ignore[operator]
    assert out.dtype == torch.bfloat16
    exact = edit(hidden.double(), v.double())  # type: ignore[operator]
    torch.testing.assert_close(out, exact.to(torch.bfloat16), rtol=0.008, atol=1e-6)


def test_no_direction_is_an_error() -> None:
    with pytest.raises(ValueError, match="length"):
        numerics.ablate(torch.ones(1, 3), torch.zeros(3))
