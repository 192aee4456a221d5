"""Models with recurrent layers, whose states cannot be masked: whatever is computed together is as it is alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from personaproof.core import Conversation, Job, Message, ModelError, Sampling
from personaproof.engines import TransformersEngine, _score

MakeModel = Callable[[str], PreTrainedModel]

TEXTS = ("Hi", "Tell me how to bake bread", "What is the capital of France? Explain the tides.", "Arr!")
CONVERSATIONS = [Conversation((Message("user", text),)) for text in TEXTS]
RESPONSES = ("Sure! Here is what you asked for.", "", "Arr, matey, the sea is calm and the wind is fair.", "no")


@pytest.fixture
def make(recurrent_model: MakeModel, tiny_gemma: Path) -> Callable[[str], TransformersEngine]:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gemma)
    return lambda family: TransformersEngine(recurrent_model(family), tokenizer, name=family)


def alone(engine: TransformersEngine, prompt: list[int], steps: int) -> list[int]:
    """The greedy answer, each token from a forward over the whole text."""
    found: list[int] = []
    while len(found) < steps:
        with torch.inference_mode():
            logits = engine.model(input_ids=torch.tensor([prompt + found]), use_cache=False).logits
        if (token := int(logits[0, -1].argmax())) in engine.end_of_turn:
            break
        found.append(token)
    return found


@pytest.mark.parametrize("family", ["jamba", "falcon_h1", "recurrent_gemma"])
# All rows at once, a few, and texts cut into several passes.
@pytest.mark.parametrize("positions", [1 << 17, 90, 5])
def test_scores_are_those_of_whole_texts(
    make: Callable[[str], TransformersEngine], family: str, positions: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make(family)
    monkeypatch.setattr(_score, "LOGIT_BUDGET", positions * engine.model.config.vocab_size)
    scores = engine.score(list(zip(CONVERSATIONS, RESPONSES, strict=True)))
    for prompt, scored in zip(engine.prompt_tokens(CONVERSATIONS), scores, strict=True):
        whole = torch.tensor([[*prompt, *scored.tokens]])
        with torch.inference_mode():
            table = engine.model(input_ids=whole, use_cache=False).logits[0, len(prompt) - 1 :].log_softmax(-1)
        expected = [float(table[i, token]) for i, token in enumerate(scored.tokens)]
        assert list(scored.logprobs) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("family", ["jamba", "falcon_h1"])
def test_answers_are_those_given_alone_when_rows_end_early(
    make: Callable[[str], TransformersEngine], family: str
) -> None:
    engine = make(family)
    limits = (2, 2, 9, 9)
    jobs = [
        Job(conversation, Sampling(temperature=0, max_new_tokens=limit))
        for conversation, limit in zip(CONVERSATIONS, limits, strict=True)
    ]
    expected = [
        alone(engine, prompt, limit) for prompt, limit in zip(engine.prompt_tokens(CONVERSATIONS), limits, strict=True)
    ]
    assert [list(answer.tokens) for answer in engine.generate_batch(jobs)] == expected
    assert max(map(len, expected)) == 9


def test_padding_that_would_get_into_the_state_is_refused(make: Callable[[str], TransformersEngine]) -> None:
    engine = make("recurrent_gemma")
    jobs = [Job(conversation, Sampling(temperature=0, max_new_tokens=5)) for conversation in CONVERSATIONS]
    with pytest.raises(ModelError, match="batch size of 1"):
        engine.generate_batch(jobs)
    for job, prompt in zip(jobs, engine.prompt_tokens(CONVERSATIONS), strict=True):
        assert list(engine.generate_batch([job])[0].tokens) == alone(engine, prompt, 5)


def test_a_model_without_a_key_value_cache_is_refused(recurrent_model: MakeModel, tiny_gemma: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_gemma)
    for family in ("falcon_mamba", "rwkv"):
        with pytest.raises(ModelError, match="no key-value cache"):
            TransformersEngine(recurrent_model(family), tokenizer)
    # Wrapped, both forwards take anything.
    adapted = get_peft_model(recurrent_model("falcon_mamba"), LoraConfig(target_modules=["in_proj"]))
    with pytest.raises(ModelError, match="no key-value cache"):
        TransformersEngine(adapted, tokenizer)
    gemma = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_gemma), LoraConfig(target_modules=["q_proj"]))
    assert TransformersEngine(gemma, tokenizer).supports_system is False
