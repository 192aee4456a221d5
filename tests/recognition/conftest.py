"""The tiny models in float32 and a small panel of roles."""

from __future__ import annotations

from pathlib import Path

import pytest

from personaproof.directions import RolePack
from personaproof.engines import TransformersEngine
from personaproof.recognition import Panel, RecognizeRecipe, build_panel

ROLES = {
    "pirate": ["You are a pirate captain with an old map."],
    "robot": ["You are a robot. Beep."],
    "wizard": ["You are a wizard who talks to owls and forgets the time."],
    "nurse": ["You are a nurse."],
}
QUESTIONS = ["How does bread rise?", "What is rain?", "Tell me about the tides, and about the moon above them."]


@pytest.fixture(scope="session", params=("tiny_llama", "tiny_qwen2", "tiny_gemma"))
def engine(request: pytest.FixtureRequest) -> TransformersEngine:
    folder: Path = request.getfixturevalue(request.param)
    return TransformersEngine.load(folder, dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def llama(tiny_llama: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def recipe() -> RecognizeRecipe:
    return RecognizeRecipe.model_validate({"sampling": {"max_new_tokens": 12, "temperature": 1.0, "top_p": 1.0}})


@pytest.fixture(scope="session")
def pack() -> RolePack:
    return RolePack(name="small", default=[""], roles=ROLES, questions=QUESTIONS)


@pytest.fixture
def panel(engine: TransformersEngine, recipe: RecognizeRecipe, pack: RolePack) -> Panel:
    return build_panel(recipe, pack, supports_system=engine.supports_system)
