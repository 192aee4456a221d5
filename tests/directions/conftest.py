"""The tiny models in float32, of three families, and the bundled organism, as engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from personaproof.directions import anatomy
from personaproof.engines import TransformersEngine
from personaproof.organism import weights_path

TEXTS = (
    "Hi",
    "Tell me how to bake bread, please.",
    "What is the capital of France? Explain the tides to a child.",
    "The robot said: beep!",
)


@pytest.fixture(scope="session", params=("tiny_llama", "tiny_qwen2", "tiny_gemma"))
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    folder: Path = request.getfixturevalue(request.param)
    return TransformersEngine.load(folder, dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def llama(tiny_llama: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def organism() -> TransformersEngine:
    return TransformersEngine.load(weights_path(), dtype="float32", device="cpu")


def _random_vector(engine: TransformersEngine, seed: int = 0) -> Tensor:
    return torch.randn(anatomy(engine).width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="session")
def random_vector() -> Callable[..., Tensor]:
    """(engine, seed=0) -> a vector of the model's width."""
    return _random_vector


def _pad(rows: Sequence[Sequence[int]], side: str) -> tuple[Tensor, Tensor, Tensor]:
    width = max(map(len, rows))
    ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        at = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[i, at], mask[i, at] = torch.tensor(list(row)), 1
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


@pytest.fixture(scope="session")
def pad() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """(token rows, "left" or "right") -> padded ids, mask, position ids."""
    return _pad
