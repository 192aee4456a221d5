"""Openings are shared in models with sliding windows where nothing leaves a window, and numbers stay the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer, Gemma2Config, Gemma2ForCausalLM, MistralConfig, MistralForCausalLM

from personaproof.core import Conversation, Job, Message, Sampling
from personaproof.engines import TransformersEngine, _cached
from personaproof.recognition import score_shared, shared_response_means, sharing
from personaproof.recognition import shared as module

Make = Callable[[str, int | None], TransformersEngine]

VOCABULARY = 384
OPENING = tuple(range(20, 50))
PATHS = [
    (OPENING, tuple(range(60 + 9 * question, 62 + 9 * question + 3 * question)), tuple(range(100, 101 + 2 * text)))
    for question in range(4)
    for text in range(4)
]
LONGEST = max(sum(map(len, path)) for path in PATHS)


@pytest.fixture(scope="module")
def make(tiny_gemma: Path) -> Make:
    """Gemma 2 (every other layer has the window) or Mistral (every layer has), with random weights."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_gemma)

    def build(kind: str, window: int | None) -> TransformersEngine:
        torch.manual_seed(3)
        shape = {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "head_dim": 8,
            "sliding_window": window,
            "max_position_embeddings": 1024,
            "attn_implementation": "eager",
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        }
        model: torch.nn.Module
        if kind == "gemma2":
            model = Gemma2ForCausalLM(Gemma2Config(**shape, query_pre_attn_scalar=8))
        else:
            model = MistralForCausalLM(MistralConfig(**shape))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.mul_(15)
        return TransformersEngine(model, tokenizer)

    return build


@pytest.fixture
def trees(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of paths that were computed with shared openings, a batch each."""
    computed: list[int] = []
    for name in ("_score_tree", "_means_tree"):
        real = getattr(module, name)

        def spy(model: object, paths: list, *rest: object, real: Callable = real) -> object:
            computed.append(len(paths))
            return real(model, paths, *rest)

        monkeypatch.setattr(module, name, spy)
    return computed


@pytest.mark.parametrize("kind", ["gemma2", "mistral"])
# Longer than any batch, a column longer than the longest path, between batches' lengths, and shorter than all.
@pytest.mark.parametrize("window", [512, LONGEST + 1, 44, 12])
def test_numbers_are_those_of_whole_texts_and_openings_are_shared_where_nothing_leaves_the_window(
    make: Make, trees: list[int], kind: str, window: int
) -> None:
    engine = make(kind, window)
    found = score_shared(engine, PATHS)
    scored = sum(trees)
    trees.clear()
    means = shared_response_means(engine, PATHS, [0, 1, 2])
    assert scored == sum(trees)
    if window == 512:
        assert scored == len(PATHS)
    elif window == 44:
        assert 0 < scored < len(PATHS)
    elif window == 12:
        assert scored == 0
    model = engine.model.double()
    for path, row, read in zip(PATHS, found, means, strict=True):
        start, ending = len(path[0]) + len(path[1]), list(path[-1])
        with torch.inference_mode():
            ids = torch.tensor([[token for segment in path for token in segment]])
            alone = model(input_ids=ids, use_cache=False, output_hidden_states=True)
        logprobs = alone.logits[0, start - 1 : -1].log_softmax(-1)[range(len(ending)), ending]
        assert row == pytest.approx(logprobs.tolist(), abs=1e-3, rel=1e-4)
        hidden = torch.stack([layer[0, start:].mean(0) for layer in alone.hidden_states[:3]])
        assert torch.allclose(read, hidden, rtol=1e-4, atol=1e-4 * float(hidden.abs().max()))


@pytest.mark.parametrize(("window", "shares"), [(512, True), (100, False)])
def test_answers_behind_shared_openings_are_those_behind_whole_prompts(
    make: Make, monkeypatch: pytest.MonkeyPatch, window: int, shares: bool
) -> None:
    """The window of 100 holds the prompts, but not the answers behind them too."""
    engine = make("gemma2", window)
    persona = "You are a pirate captain who answers in rhyme. "
    # Questions of different lengths, so that sharing pads the middle of rows.
    asked = [f"{persona}Tell me{' more' * more}." for more in range(4)]
    sampling = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=80)
    jobs = [Job(Conversation((Message("user", text),)), sampling) for text in asked]
    assert max(map(len, engine.prompt_tokens([job.conversation for job in jobs]))) < 100
    fed: list[int] = []
    real = _cached.CachedBatch._feed_left_padded

    def spy(self: _cached.CachedBatch, sequences: list) -> torch.Tensor:
        fed.append(len(sequences))
        return real(self, sequences)

    monkeypatch.setattr(_cached.CachedBatch, "_feed_left_padded", spy)
    shared = engine.generate_batch(jobs)
    assert fed == ([1, 4] if shares else [4])
    monkeypatch.setattr(_cached, "WORTH_SHARING", 0.0)
    plain = engine.generate_batch(jobs)
    assert [answer.tokens for answer in shared] == [answer.tokens for answer in plain]
    assert max(len(answer.tokens) for answer in plain) > 40
    for one, other in zip(shared, plain, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)


def test_more_columns_than_were_said_to_be_ahead_are_refused_rather_than_computed_wrongly(make: Make) -> None:
    model = make("gemma2", 40).model
    prompts = [[*OPENING, 60], [*OPENING, 61, 62]]
    with torch.inference_mode():
        batch = _cached.CachedBatch(model, prompts, ahead=7)
        for _ in range(7):
            batch.step(torch.tensor([70, 71]))
        with pytest.raises(ValueError, match="ahead"):
            batch.step(torch.tensor([70, 71]))
        unshared = _cached.CachedBatch(model, prompts, ahead=8)
        for _ in range(12):
            unshared.step(torch.tensor([70, 71]))


def test_it_is_said_how_far_openings_are_shared(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sharing(make("gemma2", 4096)).startswith("behind shared openings where a batch is under 4,096 tokens")
    assert sharing(make("mistral", None)) == "behind shared openings"
    monkeypatch.setattr(module, "shareable_columns", lambda cache: 0)
    assert "allow no sharing" in sharing(make("mistral", None))
