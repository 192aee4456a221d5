"""Localized distillation from end to end on tiny models: it learns, resumes, keeps its teacher, stops on nonsense."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerCallback

from personaproof.core import DataError, ModelError, RecipeError
from personaproof.data import load_personas, load_requests
from personaproof.directions import load_direction
from personaproof.engines import TransformersEngine
from personaproof.harden import Row, RowSet, harden, methods
from personaproof.harden.loading import load_for_training
from personaproof.harden.localized import trainer, training
from personaproof.harden.localized.prompts import PromptSet, build_prompts
from personaproof.harden.localized.recipe import LocalizedRecipe, load_localized
from personaproof.harden.localized.teacher import SteeredTeacher
from personaproof.harden.sequences import TokenSequence, pack
from personaproof.organism import weights_path

Plant = Callable[..., Path]

BASE: dict[str, Any] = {
    "dtype": "float32",
    "learning_rate": 0.01,
    "lora": {"dropout": 0.0},
    "batch_rows": 3,
    "max_new_tokens": 5,
    "vote": {"tokens": 10, "horizon": 3, "samples": 1, "ballots": 20},
    "divergence": "proper",
}


def recipe(direction: Path, **settings: Any) -> LocalizedRecipe:
    return LocalizedRecipe(**{**BASE, "direction": direction, **settings})


def adapter(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "adapter_model.safetensors")


def probability(model: Any, engine: TransformersEngine, data: PromptSet, token: int) -> float:
    """Mean probability of `token` right after the harmful prompts."""
    prompts = engine.prompt_tokens([trial.conversation for trial in data.harmful])
    with torch.no_grad():
        return float(torch.stack([model(torch.tensor([p])).logits[0, -1].softmax(-1)[token] for p in prompts]).mean())


def test_the_published_settings_are_the_default() -> None:
    found = load_localized()
    assert (found.divergence, found.vote.tokens, found.vote.ballots, found.vote.samples) == ("partial", 50, 200, 8)
    assert (found.alpha, found.temperature, found.learning_rate, found.batch_rows) == (1.0, 1.0, 1e-5, 4)
    assert methods.get("localized").recipe is LocalizedRecipe
    with pytest.raises(RecipeError, match="did you mean 'alpha'"):
        load_localized("localized", "alpah=2")


def test_the_student_comes_to_say_what_its_teacher_is_steered_to(
    tiny_llama: Path, toy_prompts: PromptSet, plant: Plant, tmp_path: Path
) -> None:
    settings = recipe(plant(tiny_llama, 300), max_steps=25, batch_rows=6)
    result = harden(tiny_llama, toy_prompts, settings, tmp_path)
    assert result.steps == len(result.curve) == 25
    assert result.curve[-1]["loss"] < result.curve[0]["loss"] / 2
    assert result.rows["distil.persona"] == 3
    kept = json.loads((tmp_path / "steering" / "tokens.json").read_text())
    assert 300 in kept["tokens"]
    assert len(kept["texts"]) == 10
    engine = TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")
    assert probability(engine.model, engine, toy_prompts, 300) < 0.01
    after = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_llama), result.path).eval()
    assert probability(after, engine, toy_prompts, 300) > 0.4
    card = (result.path / "README.md").read_text(encoding="utf-8")
    assert "`localized`" in card


def test_passes_of_a_step_change_nothing(
    tiny_llama: Path, toy_prompts: PromptSet, plant: Plant, tmp_path: Path
) -> None:
    direction = plant(tiny_llama)
    whole = harden(tiny_llama, toy_prompts, recipe(direction, max_steps=3), tmp_path / "1")
    cut = harden(tiny_llama, toy_prompts, recipe(direction, max_steps=3, micro_batch_rows=1), tmp_path / "3")
    for one, other in zip(whole.curve, cut.curve, strict=True):
        for name in ("loss", "grad_norm", "answer_tokens", "ended"):
            assert one[name] == pytest.approx(other[name], rel=1e-3)


def test_a_training_cut_off_ends_with_the_very_same_weights(
    tiny_llama: Path, toy_prompts: PromptSet, plant: Plant, tmp_path: Path
) -> None:
    """With dropout, so that the random state counts too."""
    settings = recipe(plant(tiny_llama), max_steps=6, checkpoint_every=2, micro_batch_rows=2, lora={"dropout": 0.2})
    straight = harden(tiny_llama, toy_prompts, settings, tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        harden(tiny_llama, toy_prompts, settings, tmp_path / "cut", callbacks=[_StopAt(5)])
    resumed = harden(tiny_llama, toy_prompts, settings, tmp_path / "cut")
    assert resumed.curve == straight.curve
    for name, value in adapter(straight.path).items():
        assert torch.equal(value, adapter(resumed.path)[name])


@pytest.mark.parametrize("mode", ["lora", "full"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("folder", "framing"), [("tiny_qwen2", "system"), ("tiny_gemma", "user")])
def test_families_modes_and_precisions(
    folder: str,
    framing: str,
    mode: str,
    dtype: str,
    request: pytest.FixtureRequest,
    make_prompts: Callable[[str], PromptSet],
    plant: Plant,
    tmp_path: Path,
) -> None:
    path: Path = request.getfixturevalue(folder)
    settings = recipe(plant(path), mode=mode, dtype=dtype, max_steps=2, divergence="partial", learning_rate=1e-3)
    result = harden(path, make_prompts(framing), settings, tmp_path)
    assert all(math.isfinite(entry["loss"]) and entry["grad_norm"] > 0 for entry in result.curve)
    assert result.path.name == ("adapter" if mode == "lora" else "model")


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_the_teacher_is_the_untrained_model_without_dropout(mode: str, tiny_llama: Path, plant: Plant) -> None:
    direction = load_direction(plant(tiny_llama))
    settings = recipe(plant(tiny_llama), mode=mode, lora={"dropout": 0.5})
    model, _ = load_for_training(str(tiny_llama), settings, torch.float32)
    trained = [p for p in model.parameters() if p.requires_grad]
    teacher = SteeredTeacher(model, direction, 2.0, torch.float32, adapter=mode == "lora")
    packed = pack([TokenSequence((5, 6, 7), (8, 9)), TokenSequence((5, 6), (11,))], 0)
    untrained = AutoModelForCausalLM.from_pretrained(tiny_llama)
    untouched = SteeredTeacher(untrained, direction, 2.0, torch.float32, adapter=True)
    with untouched.steered():
        expected = untouched.hidden(packed)
    with untouched.plain():
        unsteered = untouched.hidden(packed)
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(torch.randn_like(parameter))
    model.train()
    for _ in range(2):
        with teacher.steered():
            torch.testing.assert_close(teacher.hidden(packed), expected)
        with teacher.plain():
            torch.testing.assert_close(teacher.hidden(packed), unsteered)
    assert not torch.allclose(expected, unsteered)
    assert model.training
    assert all(parameter.requires_grad for parameter in trained)


def test_prompts_without_room_for_an_answer_are_left_out_and_counted(
    tiny_llama: Path, toy_prompts: PromptSet, plant: Plant, tmp_path: Path
) -> None:
    engine = TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")
    lengths = sorted(map(len, engine.prompt_tokens([trial.conversation for trial in toy_prompts.harmful])))
    longest = lengths[3] + 5
    result = harden(tiny_llama, toy_prompts, recipe(plant(tiny_llama), max_length=longest), tmp_path / "some")
    assert result.left_out[f"harmful: no room for an answer in {longest} tokens"] == sum(
        n > lengths[3] for n in lengths
    )
    with pytest.raises(DataError, match="no harmful prompt leaves room"):
        harden(tiny_llama, toy_prompts, recipe(plant(tiny_llama), max_length=8), tmp_path / "none")


def test_what_cannot_be_trained_says_why(
    tiny_llama: Path,
    tiny_qwen2: Path,
    toy_prompts: PromptSet,
    toy_rows: list[Row],
    plant: Plant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    direction = plant(tiny_llama)
    with pytest.raises(DataError, match="learns from a PromptSet"):
        harden(tiny_llama, RowSet(tuple(toy_rows)), recipe(direction), tmp_path / "rows")
    with pytest.raises(DataError, match="the prompt set holds none"):
        harden(tiny_llama, toy_prompts, LocalizedRecipe(**BASE), tmp_path / "none")
    with pytest.raises(ModelError, match="does not fit"):
        harden(tiny_llama, toy_prompts, recipe(plant(tiny_qwen2)), tmp_path / "other")

    class Overflow(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            next(p for p in kwargs["model"].parameters() if p.grad is not None).grad.fill_(math.inf)

    class Poison(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            with torch.no_grad():
                next(p for p in kwargs["model"].parameters() if p.requires_grad).fill_(math.nan)

    with pytest.raises(ModelError, match=r"the gradient is not finite .*steal"):
        harden(tiny_llama, toy_prompts, recipe(direction), tmp_path / "gradient", callbacks=[Overflow()])
    with pytest.raises(ModelError, match=r"step 2: the student's prediction .*steal.* is not finite"):
        harden(tiny_llama, toy_prompts, recipe(direction), tmp_path / "student", callbacks=[Poison()])
    with pytest.raises(ModelError, match="lower alpha"):
        harden(tiny_llama, toy_prompts, recipe(direction, alpha=1e38), tmp_path / "teacher")
    with monkeypatch.context() as patch:
        patch.setattr(trainer, "sequence_mean", lambda values, owner, rows: values.new_full((rows,), math.nan))
        with pytest.raises(ModelError, match=r"step 1: the loss of .*steal.* is not finite"):
            harden(tiny_llama, toy_prompts, recipe(direction), tmp_path / "loss")

    class Two:
        num_processes = 2

    monkeypatch.setattr(training, "processes", Two)
    with pytest.raises(RecipeError, match="runs in one process"):
        harden(tiny_llama, toy_prompts, recipe(direction), tmp_path / "two")


@pytest.mark.long
def test_the_organism_finds_its_direction_and_learns(tmp_path: Path) -> None:
    harmful = load_requests("pack:organism_harmful", harmful=True).items[:60]
    harmless = load_requests("pack:organism_benign", harmful=False).items[:60]
    personas = load_personas("pack:organism_personas").items[:4]
    data = build_prompts(harmful, harmless, personas, limit=40, votes=20)
    settings = load_localized("localized-organism", "max_steps=4", "batch_rows=8")
    result = harden(weights_path(), data, settings, tmp_path)
    assert result.steps == 4
    direction = load_direction(tmp_path / "steering" / "direction")
    assert direction.method == "refusal"
    texts = json.loads((tmp_path / "steering" / "tokens.json").read_text())["texts"]
    assert {" cannot", "I"} & set(texts)


class _StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt
