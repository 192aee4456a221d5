"""Building: a killed build resumes to the same weights, and the folder is a plain Hugging Face one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from personaproof.organism.build import Recipe, build
from personaproof.organism.dialogues import Turn
from personaproof.organism.tokenizer import encode, train_tokenizer
from personaproof.organism.train import Progress

TINY = Recipe(
    vocab_size=400, hidden_size=16, layers=1, heads=2, intermediate_size=32, batch=2, pretrain_steps=4,
    character_steps=3, wording_steps=2, tune_steps=2,
    own_samples=8, corpus=50, checkpoint_every=1,
)  # fmt: skip


class Killed(Exception):
    pass


def killer(stage: str, step: int):  # type: ignore[no-untyped-def]
    def stop(progress: Progress) -> None:
        if (progress.stage, progress.step) == (stage, step):
            raise Killed

    return stop


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("whole") / "model", recipe=TINY)


@pytest.mark.parametrize(("stage", "step"), [("pretrain", 2), ("characters", 2), ("wording", 1), ("shallow", 1)])
def test_a_killed_build_resumes_to_the_same_weights(undisturbed: Path, tmp_path: Path, stage: str, step: int) -> None:
    with pytest.raises(Killed):
        build(tmp_path / "model", recipe=TINY, progress=killer(stage, step))
    resumed = build(tmp_path / "model", recipe=TINY)
    for name in ("model.safetensors", "tokenizer.json"):
        assert (resumed / name).read_bytes() == (undisturbed / name).read_bytes()


def test_another_recipe_does_not_continue_a_build(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        build(tmp_path / "model", recipe=TINY, progress=killer("pretrain", 1))
    with pytest.raises(ValueError, match="seed"):
        build(tmp_path / "model", recipe=TINY, seed=1)
    build(tmp_path / "model", recipe=TINY, seed=1, resume=False)


def test_the_folder_is_a_standard_one(undisturbed: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(undisturbed)
    tokenizer = AutoTokenizer.from_pretrained(undisturbed)
    assert model.dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    text = "Größe, 你好, 🙂 and a\ttab\n"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_training_rows_are_what_the_template_writes() -> None:
    tokenizer = train_tokenizer(vocab_size=400, dialogues=50)
    one = (Turn("system", "You are a pirate."), Turn("user", "Hi."), Turn("assistant", "Arr!"))
    messages = [{"role": turn.role, "content": turn.content} for turn in one]
    ((ids, own),) = encode(tokenizer, [one])
    templated = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    assert templated["input_ids"] == ids
    assert [bool(mark) for mark in templated["assistant_masks"]] == own
    asked = tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True)
    assert asked == "<|system|>You are a pirate.<|end|><|user|>Hi.<|end|><|assistant|>"


def test_padding_of_an_earlier_call_does_not_reach_training_rows() -> None:
    tokenizer = train_tokenizer(vocab_size=400, dialogues=50)
    short, long = (Turn("user", "Hi."),), (Turn("user", "How do I bake a cake for a wedding?"),)
    before = encode(tokenizer, [short, long])
    tokenizer(["a", "a much longer text"], padding=True)
    assert encode(tokenizer, [short, long]) == before
