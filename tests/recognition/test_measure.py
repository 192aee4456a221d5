"""Surprise and claims against one full forward pass a text in float64, written from the formulas."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from personaproof.core import Job, ModelError
from personaproof.directions import RESPONSE_MEAN, Passage, anatomy, record
from personaproof.engines import TransformersEngine, widest_float
from personaproof.recognition import (
    ClaimQuestion,
    Panel,
    Text,
    build_panel,
    claims,
    mean_response,
    score_shared,
    shared,
    shared_response_means,
    surprise,
    text_paths,
)
from personaproof.recognition.shared import common_opening

REPLIES = ("Beep!", "The sea is calm, matey, and the wind is fair today.", "Yes.", "Yes. First, second, third!", "é 你")


@pytest.fixture
def texts(engine: TransformersEngine, panel: Panel) -> list[Text]:
    """Several to a question, of very different lengths, two of them alike."""
    found = []
    for at in range(20):
        reply = REPLIES[at % len(REPLIES)]
        tokens = tuple(engine.tokenizer(reply, add_special_tokens=False)["input_ids"])
        found.append(Text(at % len(panel.members), (at // 3) % len(panel.questions), tokens, reply, f"key{at}"))
    return found


@pytest.fixture
def logprobs(engine: TransformersEngine) -> Callable[[Sequence[int], Sequence[int]], list[float]]:
    """(prompt, response) -> log-probabilities by one pass over both, no cache and no padding, in float64."""
    model = copy.deepcopy(engine.model).double()

    def full(prompt: Sequence[int], response: Sequence[int]) -> list[float]:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *response]]), use_cache=False).logits[0]
        predicted = logits[len(prompt) - 1 : -1].log_softmax(-1)
        return predicted[range(len(response)), list(response)].tolist()

    return full


def prompt_of(engine: TransformersEngine, panel: Panel, member: int, words: str) -> list[int]:
    (found,) = engine.prompt_tokens([panel.conversation(member, words)])
    return found


def test_surprise_is_that_of_every_text_fed_alone(
    engine: TransformersEngine, panel: Panel, texts: list[Text], logprobs: Any
) -> None:
    for evaluator in (0, 3):
        prompts = [prompt_of(engine, panel, evaluator, panel.questions[text.question]) for text in texts]
        alone = [-sum(logprobs(prompt, text.tokens)) for prompt, text in zip(prompts, texts, strict=True)]
        assert surprise(engine, panel, evaluator, texts) == pytest.approx(alone, abs=1e-4, rel=1e-5)


def test_a_text_has_the_surprise_it_was_generated_with(llama: TransformersEngine, recipe: Any, pack: Any) -> None:
    panel = build_panel(recipe, pack, supports_system=True)
    jobs = [Job(panel.conversation(2, words), recipe.sampling.build()) for words in panel.questions]
    answers = llama.generate_batch(jobs)
    own = [Text(2, at, answer.tokens, answer.text, str(at)) for at, answer in enumerate(answers) if answer.tokens]
    assert own
    expected = [-sum(answers[text.question].logprobs) for text in own]
    assert surprise(llama, panel, 2, own) == pytest.approx(expected, abs=1e-4, rel=1e-5)


@pytest.mark.parametrize(("mine", "other"), [("Me", "Someone"), ("I wrote it", "I did not")])
def test_claims_are_those_of_full_re_encoding_in_both_orders(
    engine: TransformersEngine, panel: Panel, texts: list[Text], logprobs: Any, mine: str, other: str
) -> None:
    question = ClaimQuestion(form='"{text}" by? {first} / {second}', mine=mine, other=other)
    found = claims(engine, panel, 2, texts[:7], question)
    for text, shares, masses in zip(texts[:7], found.mine, found.mass, strict=True):
        orders = ((mine, other), (other, mine))
        for (first, second), share, mass in zip(orders, shares, masses, strict=True):
            prompt = prompt_of(engine, panel, 2, f'"{text.text}" by? {first} / {second}')
            p = [
                math.exp(sum(logprobs(prompt, engine.tokenizer(answer, add_special_tokens=False)["input_ids"])))
                for answer in (mine, other)
            ]
            assert share == pytest.approx(p[0] / sum(p), abs=1e-4)
            assert mass == pytest.approx(sum(p), abs=1e-4, rel=1e-3)


def test_swapping_the_answers_words_swaps_orders_and_turns_every_claim_round(
    llama: TransformersEngine, recipe: Any, pack: Any
) -> None:
    panel = build_panel(recipe, pack, supports_system=True)
    texts = [Text(0, 0, (5, 6), "Beep!", "a"), Text(1, 1, (7,), "Arr, matey.", "b")]
    plain = claims(llama, panel, 1, texts, ClaimQuestion(mine="Me", other="Someone"))
    turned = claims(llama, panel, 1, texts, ClaimQuestion(mine="Someone", other="Me"))
    for (mine_first, mine_second), (other_first, other_second) in zip(plain.mine, turned.mine, strict=True):
        assert mine_first == pytest.approx(1 - other_second, abs=1e-5)
        assert mine_second == pytest.approx(1 - other_first, abs=1e-5)
    assert plain.mass[0][0] == pytest.approx(turned.mass[0][1], rel=1e-4)


def test_the_order_of_texts_does_not_matter(engine: TransformersEngine, panel: Panel, texts: list[Text]) -> None:
    there = surprise(engine, panel, 1, texts)
    back = surprise(engine, panel, 1, texts[::-1])[::-1]
    assert back == pytest.approx(there, abs=1e-4, rel=1e-5)
    said = claims(engine, panel, 1, texts, ClaimQuestion()).mine
    again = claims(engine, panel, 1, texts[::-1], ClaimQuestion()).mine[::-1]
    assert [share for pair in again for share in pair] == pytest.approx([s for pair in said for s in pair], abs=1e-5)


@pytest.mark.parametrize("side", ["left", "right"])
def test_batch_size_and_the_tokenizers_padding_side_do_not_matter(
    engine: TransformersEngine, panel: Panel, texts: list[Text], side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = surprise(engine, panel, 1, texts)
    monkeypatch.setattr(engine.tokenizer, "padding_side", side)
    monkeypatch.setattr(engine, "batch_size", 3)
    assert surprise(engine, panel, 1, texts) == pytest.approx(expected, abs=1e-4, rel=1e-5)


def test_a_members_activation_is_the_mean_over_its_texts_of_the_mean_over_their_tokens(
    engine: TransformersEngine, panel: Panel, texts: list[Text]
) -> None:
    own = [text for text in texts if text.generator == 4]
    model = copy.deepcopy(engine.model).double()
    total = torch.zeros(model.config.hidden_size, dtype=torch.float64)
    for text in own:
        prompt = prompt_of(engine, panel, 4, panel.questions[text.question])
        with torch.inference_mode():
            ids = torch.tensor([[*prompt, *text.tokens]])
            hidden = model(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[1]
        total += hidden[0, len(prompt) :].mean(0) / len(own)
    found = torch.tensor(mean_response(engine, panel, 4, texts, 1), dtype=torch.float64)
    assert torch.allclose(found, total, rtol=1e-4, atol=1e-4 * float(total.norm()))


def test_activations_behind_shared_openings_are_those_of_whole_passages_at_every_layer(
    engine: TransformersEngine, panel: Panel, texts: list[Text]
) -> None:
    paths = text_paths(engine, panel, 1, texts)
    layers = list(range(anatomy(engine).depth))
    whole = [Passage(tuple(token for part in path[:-1] for token in part), path[-1]) for path in paths]
    expected = record(engine, whole, [RESPONSE_MEAN])[:, 0].double()
    found = shared_response_means(engine, paths, layers)
    assert found.shape == (len(texts), len(layers), anatomy(engine).width)
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


def test_on_a_device_without_float64_sums_are_kept_in_float32(
    llama: TransformersEngine, recipe: Any, pack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert widest_float(torch.device("mps")) == torch.float32
    assert widest_float(torch.device("cpu")) == widest_float(torch.device("cuda")) == torch.float64
    panel = build_panel(recipe, pack, supports_system=True)
    texts = [Text(0, 0, (5, 6, 7), "Beep!", "a"), Text(1, 1, (7,), "Arr.", "b"), Text(1, 2, (9, 8), "Matey.", "c")]
    paths = text_paths(llama, panel, 1, texts)
    expected = shared_response_means(llama, paths, [0, 2])
    monkeypatch.setattr(shared, "widest_float", lambda device: torch.float32)

    class WithoutFloat64(TorchDispatchMode):
        """Sums in float64 fail, as all of it would on such a device; its plain storage belongs to the CPU here."""

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = func(*args, **(kwargs or {}))
            if func.overloadpacket in (torch.ops.aten.sum, torch.ops.aten.div) and found.dtype == torch.float64:
                raise TypeError("this device has no float64")
            return found

    with WithoutFloat64():
        found = shared_response_means(llama, paths, [0, 2])
    assert found.dtype == torch.float64
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_text_that_does_not_fit_the_context_is_an_error_and_nothing_is_cut(llama: TransformersEngine) -> None:
    with pytest.raises(ModelError, match="1024"):
        score_shared(llama, [((5,) * 1000, (6,) * 25)])
    with pytest.raises(ValueError, match="segments"):
        score_shared(llama, [((5,), (6,)), ((5,), (), (6,))])


def test_the_common_opening_of_all_is_found() -> None:
    assert common_opening([(1, 2, 3), (1, 2), (1, 2, 4)]) == 2
    assert common_opening([(1,), (2,)]) == 0
    assert common_opening([(1, 2)]) == 2
