"""Batched generation against the library's own one-by-one generation, and what must not change an answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from personaproof.core import Conversation, Engine, GenerationError, Job, Message, Sampling, generate_all
from personaproof.engines import _cached
from personaproof.engines.transformers import TransformersEngine

GREEDY = Sampling(temperature=0, max_new_tokens=12)
SAMPLED = Sampling(temperature=0.9, top_p=0.9, max_new_tokens=12)
MakeJobs = Callable[..., list[Job]]
PromptIds = Callable[[TransformersEngine, Conversation], Any]


def test_is_an_engine(llama: TransformersEngine) -> None:
    assert isinstance(llama, Engine)


def test_greedy_batch_equals_one_by_one_generate(
    engine: TransformersEngine, make_jobs: MakeJobs, prompt_ids: PromptIds
) -> None:
    jobs = make_jobs(GREEDY, engine.supports_system)
    completions = engine.generate_batch(jobs)
    lengths = {completion.prompt_tokens for completion in completions}
    assert max(lengths) > 4 * min(lengths)
    for job, completion in zip(jobs, completions, strict=True):
        ids = prompt_ids(engine, job.conversation)
        with torch.inference_mode():
            whole = engine.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12)
        expected = [token for token in whole[0, ids.shape[1] :].tolist() if token not in engine.end_of_turn]
        assert list(completion.tokens) == expected
        assert completion.prompt_tokens == ids.shape[1]
        assert completion.text == engine.tokenizer.decode(expected, skip_special_tokens=True)


def test_logprobs_match_a_float64_reference(
    engine: TransformersEngine, make_jobs: MakeJobs, prompt_ids: PromptIds
) -> None:
    reference = type(engine.model)(engine.model.config)
    reference.load_state_dict(engine.model.state_dict())
    reference = reference.double().eval()
    jobs = make_jobs(SAMPLED, engine.supports_system)
    for job, completion in zip(jobs, engine.generate_batch(jobs), strict=True):
        ids = prompt_ids(engine, job.conversation)
        whole = torch.cat([ids, torch.tensor([completion.tokens], dtype=torch.long)], dim=1)
        with torch.inference_mode():
            table = reference(whole).logits[0].log_softmax(-1)
        start = ids.shape[1] - 1
        expected = [float(table[start + i, token]) for i, token in enumerate(completion.tokens)]
        assert list(completion.logprobs) == pytest.approx(expected, abs=2e-4)


def test_an_item_says_the_same_alone_in_a_batch_and_in_any_order(
    engine: TransformersEngine, make_jobs: MakeJobs
) -> None:
    jobs = make_jobs(SAMPLED, engine.supports_system, samples=2)
    together = {c.key: c.tokens for c in engine.generate_batch(jobs)}
    shuffled = random.Random(3).sample(jobs, len(jobs))
    assert {c.key: c.tokens for c in engine.generate_batch(shuffled)} == together
    assert {c.key: c.tokens for batch in generate_all(engine, shuffled) for c in batch} == together
    assert {c.key: c.tokens for job in jobs for c in engine.generate_batch([job])} == together
    # Not because sampling is dead: samples of one conversation differ.
    assert len(set(together.values())) > len(jobs) * 0.8


def test_seed_and_sample_index_change_the_draw(llama: TransformersEngine) -> None:
    conversation = Conversation((Message("user", "Tell me a story."),))
    a, b, c, again = llama.generate_batch(
        [
            Job(conversation, SAMPLED, seed=1),
            Job(conversation, SAMPLED, seed=2),
            Job(conversation, SAMPLED, seed=1, sample_index=1),
            Job(conversation, SAMPLED, seed=1),
        ]
    )
    assert a.tokens == again.tokens
    assert len({a.tokens, b.tokens, c.tokens}) == 3
    assert len({a.key, b.key, c.key}) == 3


def test_sharing_openings_changes_only_rounding(llama: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    persona = "You are a pirate captain who answers in rhyme. " * 3
    system, tides = Message("system", persona), Message("user", "What makes the tides?")
    lone = Message("user", "Is it so? " * 10)
    others = [Conversation((system, Message("user", f"{word} me more"))) for word in ("Tell", "Show", "Give", "Sing")]
    other_persona = [Conversation((Message("system", persona[::-1]), m)) for m in (tides, Message("user", "Why?"))]
    conversations = [*others, Conversation((system, tides)), Conversation((lone,)), *other_persona]
    jobs = [Job(conversation, SAMPLED) for conversation in conversations]
    fed: list[int] = []
    original = _cached.CachedBatch._feed_left_padded

    def spy(self: _cached.CachedBatch, sequences: Sequence[Sequence[int]]) -> torch.Tensor:
        fed.append(len(sequences) * max(map(len, sequences)))
        return original(self, sequences)

    monkeypatch.setattr(_cached.CachedBatch, "_feed_left_padded", spy)
    shared = llama.generate_batch(jobs)
    shared_cost = sum(fed)
    fed.clear()
    monkeypatch.setattr(_cached, "WORTH_SHARING", 0.0)
    plain = llama.generate_batch(jobs)
    assert len(fed) == 1
    assert shared_cost <= 0.6 * fed[0]
    assert [c.tokens for c in shared] == [c.tokens for c in plain]
    for one, other in zip(shared, plain, strict=True):
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_mixed_settings_share_a_batch(llama: TransformersEngine) -> None:
    conversation = Conversation((Message("user", "Tell me a story."),))
    settings = [
        GREEDY,
        SAMPLED,
        Sampling(temperature=1.3, top_p=1, top_k=5, max_new_tokens=3),
        Sampling(temperature=2.0, top_p=1, max_new_tokens=30),
    ]
    jobs = [Job(conversation, setting) for setting in settings]
    together = llama.generate_batch(jobs)
    assert [c.tokens for c in together] == [llama.generate_batch([job])[0].tokens for job in jobs]
    assert all(len(c.tokens) <= s.max_new_tokens for c, s in zip(together, settings, strict=True))
    assert len(together[2].tokens) == 3
    assert together[2].finish_reason == "length"


def test_end_of_turn_tokens(tiny_llama: Path, make_jobs: MakeJobs) -> None:
    """Every token of the configured list, and the tokenizer's, ends the answer and stays out of it."""
    engine = TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")
    long = Sampling(temperature=0, max_new_tokens=40)
    jobs = make_jobs(long)
    job, free = next(
        (job, answer)
        for job, answer in zip(jobs, engine.generate_batch(jobs), strict=True)
        if answer.finish_reason == "length" and len(set(answer.tokens)) > 10
    )
    assert len(free.tokens) == len(free.logprobs) == 40
    stop = next(i for i in range(5, 40) if free.tokens[i] not in free.tokens[:i])
    engine.model.generation_config.eos_token_id = [free.tokens[stop], 2]
    stopping = TransformersEngine(engine.model, engine.tokenizer)
    assert stopping.end_of_turn == {free.tokens[stop], 2, engine.tokenizer.eos_token_id}
    ended = stopping.generate_batch([job, *jobs])[0]
    assert ended.finish_reason == "stop"
    assert ended.tokens == free.tokens[:stop]
    assert ended.logprobs == pytest.approx(free.logprobs[:stop], abs=1e-4)
    assert stopping.fingerprint != engine.fingerprint


def test_dropping_finished_rows_changes_nothing(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, make_jobs: MakeJobs
) -> None:
    """Rows end at very different steps here, so the batch is compacted again and again."""
    base = make_jobs(SAMPLED, engine.supports_system)
    jobs = [
        Job(job.conversation, Sampling(temperature=0.9, top_p=0.9, max_new_tokens=1 + 3 * i), seed=1)
        for i, job in enumerate(base)
    ]
    kept: list[int] = []
    original = _cached.CachedBatch.keep

    def spy(self: _cached.CachedBatch, rows: torch.Tensor) -> None:
        kept.append(len(rows))
        original(self, rows)

    monkeypatch.setattr(_cached.CachedBatch, "keep", spy)
    compacted = engine.generate_batch(jobs)
    assert len(kept) >= 4
    monkeypatch.setattr(_cached.CachedBatch, "can_keep", property(lambda self: False))
    assert [c.tokens for c in engine.generate_batch(jobs)] == [c.tokens for c in compacted]


def test_rows_are_selected_on_the_device_of_each_layer(tiny_gemma: Path) -> None:
    """Every other layer's cache is put on a second device; no model of the tests lies on two."""
    engine = TransformersEngine.load(tiny_gemma, dtype="float32", device="cpu")
    with torch.inference_mode():
        batch = _cached.CachedBatch(engine.model, [[5, 6, 7], [8, 9, 10]])
        layers = batch._cache.layers
        for layer in layers[1:]:
            layer.device = torch.device("meta")
            layer.keys, layer.values = layer.keys.to("meta"), layer.values.to("meta")
            if isinstance(layer, _cached.RoomyLayer):
                layer._rooms = [room.to("meta") for room in layer._rooms]

        class Apart(TorchDispatchMode):
            """The stand-in for a second device would take the first one's indices, which a GPU does not."""

            def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                if func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_select):
                    given = [each for arg in args for each in (arg if isinstance(arg, list) else [arg])]
                    if len({each.device for each in given if isinstance(each, torch.Tensor)}) > 1:
                        raise RuntimeError("all tensors have to be on one device")
                return func(*args, **(kwargs or {}))

        with Apart():
            batch.keep(torch.tensor([1]))
    assert {type(layer) for layer in layers[1:]} == {_cached.RoomyLayer, _cached.DynamicSlidingWindowLayer}
    assert all(len(layer.keys) == len(layer.values) == 1 for layer in layers)


def test_a_prompt_beyond_the_context_is_refused_before_any_work(llama: TransformersEngine) -> None:
    conversation = Conversation((Message("user", "tides " * 1100),))
    for call in (llama.plan, llama.generate_batch):
        with pytest.raises(GenerationError, match=r"do not fit the context.*1024"):
            call([Job(conversation, GREEDY)])


def test_out_of_memory_says_what_to_do(
    llama: TransformersEngine, monkeypatch: pytest.MonkeyPatch, make_jobs: MakeJobs
) -> None:
    def exhausted(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("personaproof.engines.transformers.decode", exhausted)
    with pytest.raises(GenerationError, match="smaller batch size"):
        llama.generate_batch(make_jobs(GREEDY))


def test_training_mode_is_restored(tiny_llama: Path, make_jobs: MakeJobs) -> None:
    engine = TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")
    engine.model.train()
    frozen = engine.model.model.layers[0]
    frozen.eval()
    engine.generate_batch(make_jobs(GREEDY)[:2])
    assert engine.model.training
    assert engine.model.model.layers[1].training
    assert not frozen.training


def test_nothing_to_do(llama: TransformersEngine) -> None:
    assert llama.plan([]) == []
    assert llama.generate_batch([]) == []
    assert llama.score([]) == []
