"""The tiny models in float32, of three families, the bundled organism, and a model with a planted direction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from personaproof.core import Answer, Exchange, Request, Verdict
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


WORDS = "abcdefghij"
REFUSE, COMPLY = "%", "&"


@dataclass(frozen=True)
class Planted:
    engine: TransformersEngine
    direction: Tensor
    """r, of length one."""
    refuse: int
    comply: int


@dataclass(frozen=True)
class SignJudge:
    """Reads the two signs the model answers with."""

    id: str = "sign"

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        return [
            Verdict(Answer.of(e.response.startswith(REFUSE)), Answer.of(e.response.startswith(COMPLY)))
            for e in exchanges
        ]


def _plant(folder: Path, *, reads_direction: bool = True) -> Planted:
    """From the tiny Llama's shape. Without `reads_direction` the head refuses always, whatever the stream holds."""
    engine = TransformersEngine.load(folder, dtype="float32", device="cpu")
    model, tokenizer = engine.model, engine.tokenizer
    width = model.config.hidden_size
    generator = torch.Generator().manual_seed(3)
    basis = torch.linalg.qr(torch.randn(width, width, generator=generator))[0].T
    r, steady, ending, noise = basis[0], basis[1], basis[2], basis[3:]

    def token(text: str) -> int:
        (found,) = tokenizer(text, add_special_tokens=False)["input_ids"]
        return int(found)

    refuse, comply, harm = token(REFUSE), token(COMPLY), token("#")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_() if parameter.ndim == 2 else parameter.fill_(1.0)
        table = model.model.embed_tokens.weight
        table.copy_(torch.randn(len(table), len(noise), generator=generator) @ noise * 0.3 + steady * 2)
        table[harm] += 6 * r
        table[[refuse, comply]] = 8 * ending
        attention = model.model.layers[0].self_attn
        attention.v_proj.weight[0], attention.v_proj.weight[1] = r, noise[0]
        attention.o_proj.weight[:, 0], attention.o_proj.weight[:, 1] = 4 * r, noise[0]
        head = model.lm_head.weight
        head[refuse] = (4 * r if reads_direction else 4 * steady) + 0.5 * steady
        head[comply] = 2 * steady
        head[tokenizer.eos_token_id] = 5 * ending
    return Planted(engine, r, refuse, comply)


def _requests(harmful: bool, n: int = 60) -> list[Request]:
    """Distinct strings of letters, with the sign of harm among them or not."""
    generator = torch.Generator().manual_seed(int(harmful))
    texts = []
    for i in range(n):
        letters = [WORDS[k] for k in torch.randint(len(WORDS), (6,), generator=generator).tolist()]
        texts.append(" ".join([*letters[:3], *("#" if harmful else ""), *letters[3:], str(i)]))
    return [Request(text, harmful, intent=text) for text in texts]


@pytest.fixture(scope="session")
def planted(tiny_llama: Path) -> SimpleNamespace:
    """A chat model built by hand in which one direction, and nothing else, decides between refusing and complying.

    A "#" among the user's words puts `r` into the stream at every later token, through uniform attention in block 0;
    the output head reads `r` for the refusing token. Everything else is noise orthogonal to `r`.
    `plant(reads_direction)` makes it, `requests(harmful, n)` are its requests, `judge` reads its answers.
    """
    return SimpleNamespace(
        plant=lambda reads_direction=True: _plant(tiny_llama, reads_direction=reads_direction),
        requests=_requests,
        judge=SignJudge(),
    )
