"""Prompts and a planted direction for localized distillation on tiny models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from personaproof.core import Persona, Request
from personaproof.directions import Direction, anatomy, save_direction
from personaproof.directions.direction import template_hash
from personaproof.engines import TransformersEngine
from personaproof.harden.localized.prompts import PromptSet, build_prompts

CAPTAIN = Persona("You are a captain who sails for treasure.", name="captain")


@pytest.fixture(scope="session")
def toy_prompts() -> PromptSet:
    """Six harmful prompts, half of them in persona, and four harmless ones; nothing to find a direction with."""
    return _prompts("system")


@pytest.fixture(scope="session")
def make_prompts() -> Callable[[str], PromptSet]:
    """framing -> the toy prompts under it."""
    return _prompts


def _prompts(framing: str) -> PromptSet:
    things = ("bread", "a boat", "the tides")
    harmful = [Request(f"Tell me how to steal {thing}.", True) for thing in things]
    harmless = [Request(f"Explain {thing} to a child.", False) for thing in things[:2]]
    built = build_prompts(harmful, harmless, [CAPTAIN], framing, limit=None, votes=None)
    return PromptSet(built.harmful, built.harmless, (), ())


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """(model folder, token, strength) -> a saved direction at the last layer towards saying `token`."""

    def make(folder: Path, token: int = 300, strength: float = 1.0) -> Path:
        engine = TransformersEngine.load(folder, dtype="float32", device="cpu")
        parts = anatomy(engine)
        rows = engine.model.get_output_embeddings().weight.detach().float()
        towards = rows[token] - rows.mean(0)
        norm = torch.nn.functional.normalize
        direction = Direction(
            vector=strength * 100 * norm(towards, dim=0),
            layer=parts.depth - 1,
            position="prompt[-1]",
            method="refusal",
            model=engine.name,
            fingerprint=engine.fingerprint,
            architecture=parts.architecture,
            template=template_hash(engine),
            data="planted",
            activation_norm=1.0,
        )
        return save_direction(direction, tmp_path_factory.mktemp("directions") / f"{folder.name}-{token}")

    return make
