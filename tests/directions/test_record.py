"""Activations by position rule, against one plain float64 forward pass a text."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from personaproof.core import Conversation, DataError, Message, ModelError
from personaproof.directions import (
    DECISION,
    PROMPT_LAST,
    RESPONSE_FIRST,
    RESPONSE_MEAN,
    Passage,
    Position,
    anatomy,
    difference_in_means,
    mean_activations,
    passages,
    record,
    steer,
    template_positions,
)
from personaproof.engines import TransformersEngine

RULES = (PROMPT_LAST, Position("prompt", -2), RESPONSE_FIRST, RESPONSE_MEAN, DECISION)
ASKED = (
    ("Hi", "Sure! Here is."),
    ("Tell me how to bake bread, please.", "I can't help with that."),
    ("What is the capital of France? Explain the tides to a child.", "Arr, matey, I won't."),
    ("Beep", "No"),
)


def _passages(engine: TransformersEngine) -> list[Passage]:
    pairs: list[tuple[Conversation, str | None]] = [(Conversation((Message("user", q),)), a) for q, a in ASKED]
    found = passages(engine, pairs)
    return [Passage(p.prompt, p.response, i % (len(p.response) + 1)) for i, p in enumerate(found)]


def _by_hand(engine: TransformersEngine, texts: Sequence[Passage]) -> Tensor:
    """(texts, rules, layers, width): the definition, one text at a time, everything in float64."""
    model = deepcopy(engine.model).double()
    rows = []
    for text in texts:
        ids = torch.tensor([[*text.prompt, *text.response]])
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states[:-1]
        n = len(text.prompt)
        assert text.decision is not None
        read = [
            [
                state[0, n - 1],
                state[0, n - 2],
                state[0, n],
                state[0, n:].mean(0),
                state[0, n + text.decision - 1],
            ]
            for state in states
        ]
        rows.append(torch.stack([torch.stack(layer) for layer in read], dim=1))
    return torch.stack(rows)


def _close(found: Tensor, expected: Tensor) -> bool:
    scale = expected.norm(dim=-1).amax(dim=tuple(range(expected.ndim - 2)))
    return bool(((found.double() - expected).norm(dim=-1) <= 1e-5 * scale).all())


def test_every_rule_matches_float64_on_tiny_models(engine: TransformersEngine) -> None:
    texts = _passages(engine)
    expected = _by_hand(engine, texts)
    assert _close(record(engine, texts, RULES), expected)
    assert _close(record(engine, texts, RULES, layers=[1]), expected[:, :, 1:2])
    means = mean_activations(engine, texts, RULES)
    assert _close(means.mean, expected.mean(0))
    torch.testing.assert_close(means.norm, expected.norm(dim=-1).mean(0), rtol=1e-5, atol=0)
    assert means.n == len(texts)


def test_difference_in_means_matches_float64_on_the_organism(organism: TransformersEngine) -> None:
    texts = _passages(organism)
    expected = _by_hand(organism, texts)
    found = difference_in_means(organism, texts[:3], texts[3:], RULES[:4])
    difference = (expected[:3].mean(0) - expected[3:].mean(0))[:4]
    scale = expected.norm(dim=-1).amax(0)[:4]
    assert ((found.vectors - difference).norm(dim=-1) <= 1e-5 * scale).all()


def test_on_a_device_without_float64_means_are_kept_in_float32(
    llama: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = _passages(llama)
    expected = record(llama, texts, RULES)
    module = importlib.import_module("personaproof.directions.record")
    monkeypatch.setattr(module, "widest_float", lambda device: torch.float32)

    class WithoutFloat64(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = func(*args, **(kwargs or {}))
            if isinstance(found, Tensor) and found.dtype == torch.float64:
                raise TypeError("this device has no float64")
            return found

    with WithoutFloat64():
        torch.testing.assert_close(record(llama, texts, RULES), expected, rtol=1e-5, atol=1e-5)


def test_batches_change_nothing(llama: TransformersEngine) -> None:
    texts = _passages(llama) * 3
    single = TransformersEngine(llama.model, llama.tokenizer, batch_size=1)
    torch.testing.assert_close(record(llama, texts, RULES), record(single, texts, RULES), rtol=1e-4, atol=1e-4)


def test_templates_write_one_bos_and_their_closing_tokens_are_found(engine: TransformersEngine) -> None:
    conversation = Conversation((Message("user", "Tell me how to bake bread."),))
    (text,) = passages(engine, [(conversation, None)])
    bos = engine.tokenizer.bos_token_id
    assert bos is None or list(text.prompt).count(bos) == 1
    rules = template_positions(engine, conversation)
    assert rules[-1] == PROMPT_LAST
    closing = engine.tokenizer.decode(text.prompt[rules[0].offset :])
    rendered = engine.tokenizer.apply_chat_template(conversation.as_dicts(), tokenize=False, add_generation_prompt=True)
    assert rendered.split("bake bread.")[1] == closing


def test_recording_sees_what_outer_interventions_do(llama: TransformersEngine, random_vector: Any) -> None:
    texts, v = _passages(llama), random_vector(llama)
    plain = record(llama, texts, layers=[1])
    with steer(llama, v, 2.0, layers=[1]):
        torch.testing.assert_close(record(llama, texts, layers=[1]), plain + 2 * v)


def test_results_can_be_trained_with(llama: TransformersEngine) -> None:
    found = record(llama, _passages(llama), layers=[1])
    weight = torch.ones(anatomy(llama).width, requires_grad=True)
    (found @ weight).sum().backward()
    assert weight.grad is not None


def test_missing_positions_are_errors_not_gaps(llama: TransformersEngine) -> None:
    prompt = _passages(llama)[0].prompt
    for passage, rule in (
        (Passage(prompt), RESPONSE_FIRST),
        (Passage(prompt), RESPONSE_MEAN),
        (Passage(prompt), DECISION),
        (Passage(prompt, (5,), 2), DECISION),
        (Passage(prompt), Position("prompt", -1 - len(prompt))),
        (Passage(prompt), Position("prompt", 0)),
    ):
        with pytest.raises(DataError, match="has no position"):
            record(llama, [passage], [rule])
    with pytest.raises(DataError, match="nothing"):
        mean_activations(llama, [])
    with pytest.raises(ModelError, match="context"):
        record(llama, [Passage(prompt * 1100)])


def test_nothing_is_computed_behind_the_last_layer_that_is_read(llama: TransformersEngine) -> None:
    texts, parts = _passages(llama), anatomy(llama)
    entered: list[int] = []
    handles = [
        block.module.register_forward_pre_hook(lambda *_, at=at: entered.append(at))
        for at, block in enumerate(parts.blocks)
    ]
    try:
        record(llama, texts, layers=[1, 0])
    finally:
        for handle in handles:
            handle.remove()
    assert set(entered) == {0, 1}
    assert record(llama, texts, layers=[]).shape == (len(texts), 1, 0, parts.width)
