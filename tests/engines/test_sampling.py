"""Sampling against the filtered distribution, exactly: an inverse-CDF draw is checked on an even grid of uniforms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.core import Sampling
from personaproof.engines import _sampling
from personaproof.engines._sampling import SamplingTable, choose, drawing_device, sample, uniform_stream

GRID = 4000


def filtered(probabilities: np.ndarray, top_p: float, top_k: int) -> np.ndarray:
    """The textbook definition in plain float64: top-k, renormalise, nucleus, renormalise. No ties."""
    order = np.argsort(-probabilities)
    kept = order[:top_k] if top_k else order
    mass = np.cumsum(probabilities[kept]) / probabilities[kept].sum()
    if top_p < 1:
        kept = kept[: int(np.sum(mass < top_p)) + 1]
    result = np.zeros_like(probabilities)
    result[kept] = probabilities[kept] / probabilities[kept].sum()
    return result


def frequencies(probabilities: np.ndarray, top_p: float, top_k: int) -> np.ndarray:
    rows = torch.from_numpy(probabilities).float().expand(GRID, -1)
    uniforms = (torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID
    tokens = sample(rows, torch.full((GRID,), top_p, dtype=torch.float64), torch.full((GRID,), top_k), uniforms)
    return np.bincount(tokens.numpy(), minlength=len(probabilities)) / GRID


@pytest.mark.parametrize("vocabulary", [5, 64, 200])
@pytest.mark.parametrize(("top_p", "top_k"), [(1, 0), (0.9, 0), (0.5, 0), (1, 3), (0.7, 4), (1, 64), (0.99, 100)])
@pytest.mark.parametrize("sharpness", [0.1, 3.0])
def test_frequencies_are_the_filtered_distribution(vocabulary: int, top_p: float, top_k: int, sharpness: float) -> None:
    """Flat rows have a nucleus wider than the first guess, sharp ones a narrow one: both paths are taken."""
    logits = np.random.default_rng(vocabulary).normal(size=vocabulary) * sharpness
    probabilities = np.exp(logits) / np.exp(logits).sum()
    expected = filtered(probabilities, top_p, top_k)
    # Each token's share of an even grid differs from its probability by at most two grid cells.
    assert frequencies(probabilities, top_p, top_k) == pytest.approx(expected, abs=2 / GRID)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    top_p=st.floats(0.05, 1),
    top_k=st.integers(0, 150),
    sharpness=st.floats(0, 6),
    guess=st.sampled_from([1, 8, 64]),
)
def test_the_guess_never_changes_a_draw(seed: int, top_p: float, top_k: int, sharpness: float, guess: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(16, 120, generator=generator) * sharpness
    logits = (logits * 4).round() / 4  # ties, as bfloat16 makes them
    probabilities = logits.softmax(-1)
    uniforms = torch.rand(16, generator=generator, dtype=torch.float64)
    settings_ = (torch.full((16,), top_p, dtype=torch.float64), torch.full((16,), top_k))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_sampling, "NUCLEUS_GUESS", guess)
        guessed = sample(probabilities, *settings_, uniforms)
        patch.setattr(_sampling, "NUCLEUS_GUESS", 10_000)
        patch.setattr(_sampling, "ROW_BUDGET", 300)
        assert torch.equal(guessed, sample(probabilities, *settings_, uniforms))
    assert bool((probabilities.gather(1, guessed[:, None]) > 0).all())


def test_ties_are_kept_together() -> None:
    probabilities = np.array([0.4, 0.2, 0.2, 0.2])
    assert frequencies(probabilities, 0.5, 0) == pytest.approx([0.4, 0.2, 0.2, 0.2], abs=2 / GRID)
    assert frequencies(probabilities, 1, 2) == pytest.approx([0.4, 0.2, 0.2, 0.2], abs=2 / GRID)
    assert frequencies(probabilities, 0.4, 0) == pytest.approx([1, 0, 0, 0])


@pytest.mark.parametrize("uniform", [0.0, 1 - 2.0**-53])
def test_the_ends_of_the_unit_interval_pick_a_possible_token(uniform: float) -> None:
    probabilities = torch.tensor([[0.0, 0.3, 0.7, 0.0]])
    token = sample(probabilities, torch.ones(1).double(), torch.zeros(1).long(), torch.tensor([uniform]).double())
    assert token.item() == (1 if uniform == 0 else 2)


def test_rows_with_different_settings_keep_to_their_own() -> None:
    logits = torch.tensor([1.0, 2.0, 3.0, 0.0]).expand(4 * GRID, -1)
    kinds = [Sampling(temperature=t, top_p=p, top_k=k) for t, p, k in ((0, 1, 0), (1, 1, 0), (2, 1, 2), (1, 0.5, 0))]
    uniforms = ((torch.arange(GRID, dtype=torch.float64) + 0.5) / GRID).repeat_interleave(4)
    tokens = choose(logits, SamplingTable(kinds * GRID, torch.device("cpu")), uniforms)
    shares = [np.bincount(tokens[kind::4].numpy(), minlength=4) / GRID for kind in range(4)]
    soft = np.exp([1.0, 2.0, 3.0, 0.0])
    warm = np.exp([-np.inf, 1.0, 1.5, -np.inf])
    assert shares[0] == pytest.approx([0, 0, 1, 0])
    assert shares[1] == pytest.approx(soft / soft.sum(), abs=2 / GRID)
    assert shares[2] == pytest.approx(warm / warm.sum(), abs=2 / GRID)
    assert shares[3] == pytest.approx([0, 0, 1, 0])


def test_streams_are_fixed_even_and_apart() -> None:
    """The first numbers are written down: another NumPy must not change what a seed means."""
    assert uniform_stream(123, 3).tolist() == uniform_stream(123, 50)[:3].tolist()
    assert uniform_stream(123, 2).tolist() == [0.5170052385149787, 0.18380038030745394]
    long = uniform_stream(2**63 - 1, 20_000)
    assert long.min() >= 0
    assert long.max() < 1
    counts = np.bincount((long * 20).astype(int), minlength=20)
    # Chi-square with 19 degrees of freedom; 43.8 is its 99.9 % point.
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 43.8
    firsts = np.array([uniform_stream(seed, 1)[0] for seed in range(2000)])
    assert abs(np.corrcoef(firsts[:-1], firsts[1:])[0, 1]) < 0.08


def test_a_device_without_float64_has_its_tokens_drawn_on_the_cpu() -> None:
    assert drawing_device(torch.device("mps")) == torch.device("cpu")
    for name in ("cpu", "cuda:1"):
        assert drawing_device(torch.device(name)) == torch.device(name)
