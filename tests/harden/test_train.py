"""Training from end to end on a tiny model: it learns, resumes, is saved and read back, and stops on nonsense."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from personaproof.core import DataError, ModelError, PersonaProofError, RecipeError, StoreError
from personaproof.harden import HardenResult, PICLRecipe, Row, RowSet, harden, load_picl
from personaproof.harden.picl.collate import RowEncoder

BASE = ("dtype=float32", "batch_rows=16", "learning_rate=0.02", "micro_batch_rows=16", "gradient_checkpointing=false")


def _recipe(*overrides: str) -> PICLRecipe:
    return load_picl("picl", *BASE, *overrides)


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter_model.safetensors")


def _same(one: Path, other: Path, atol: float = 0.0) -> None:
    first, second = _weights(one), _weights(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=atol)


class _StopAt(TrainerCallback):
    """A kill, as near as a test can come to it in one process."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def trained(tiny_llama: Path, toy_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> HardenResult:
    out = tmp_path_factory.mktemp("trained")
    recipe = _recipe("max_steps=60", "lora.dropout=0.0", "batch_rows=32")
    return harden(tiny_llama, RowSet(tuple(toy_rows), {"persona harmful: unjudged": 2}), recipe, out)


def _load(result: HardenResult) -> Any:
    return PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(result.base_model), result.path).eval()


def _nll(model: Any, tokens: Any) -> float:
    n = len(tokens.prompt)
    with torch.no_grad():
        logp = model(torch.tensor([tokens.prompt + tokens.response])).logits[0, n - 1 : -1].log_softmax(-1)
    return -float(logp[torch.arange(len(tokens.response)), torch.tensor(tokens.response)].mean())


def test_training_moves_every_term_the_right_way(trained: HardenResult) -> None:
    first, last = trained.curve[0], trained.curve[-1]
    assert trained.steps == len(trained.curve) == 60
    assert [entry["step"] for entry in trained.curve] == list(range(1, 61))
    # Before the first step the student is its own reference and its own frozen teacher.
    assert first["dpo"] == pytest.approx(0.6931, abs=1e-3)
    assert first["preserve_kl"] == pytest.approx(0.0, abs=1e-4)
    assert last["loss"] < first["loss"] / 2
    assert last["dpo"] < 0.1
    assert last["pic"] < first["pic"] / 2


def test_the_reloaded_adapter_refuses_in_persona_and_keeps_its_benign_answers(
    trained: HardenResult, toy_rows: list[Row]
) -> None:
    base, hardened = AutoModelForCausalLM.from_pretrained(trained.base_model).eval(), _load(trained)
    encoded = RowEncoder(AutoTokenizer.from_pretrained(trained.path), "tiny").encode(toy_rows)
    for row in encoded:
        if row.rejected is not None:
            assert _nll(base, row.chosen) > 3.0
            assert _nll(hardened, row.chosen) < _nll(base, row.chosen) - 1.5
            assert _nll(hardened, row.rejected) > _nll(hardened, row.chosen) + 1.0
        elif row.row.kind == "preserve":
            assert _nll(hardened, row.chosen) < _nll(base, row.chosen)


def test_the_folder_is_complete_and_says_what_it_is(trained: HardenResult) -> None:
    assert trained.path.name == "adapter"
    names = {path.name for path in trained.path.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "README.md"} <= names
    assert not [n for n in names if n.endswith((".bin", ".pt", ".pkl"))]
    assert not (trained.path.parent / "checkpoints").exists()
    card = (trained.path / "README.md").read_text(encoding="utf-8")
    for said in (
        trained.base_model,
        "preference.persona | 6",
        "persona harmful: unjudged | 2",
        "PeftModel",
        "Nothing was",
    ):
        assert said in card
    assert json.loads((trained.path / "adapter_config.json").read_text())["r"] == 16


def test_a_finished_training_is_read_back_and_not_repeated(
    trained: HardenResult, tiny_llama: Path, toy_rows: list[Row]
) -> None:
    def never(done: int, total: int) -> None:
        raise AssertionError("it trained again")

    rows = RowSet(tuple(toy_rows), {"persona harmful: unjudged": 2})
    out = trained.path.parent
    again = harden(tiny_llama, rows, trained.recipe, out, progress=never)
    assert again == replace(trained, seconds=again.seconds)
    with pytest.raises(StoreError, match=r"differs in recipe\.seed"):
        harden(tiny_llama, rows, trained.recipe.model_copy(update={"seed": 7}), out)
    with pytest.raises(StoreError, match="differs in data"):
        harden(tiny_llama, RowSet(tuple(toy_rows[:5])), trained.recipe, out)


@pytest.mark.parametrize("torn", [False, True], ids=["whole checkpoints", "last checkpoint torn"])
def test_a_training_cut_off_ends_with_the_very_same_weights(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path, torn: bool
) -> None:
    """With dropout, so that the random state counts too; two passes a step, and more than one pass over the rows."""
    recipe = _recipe("max_steps=8", "batch_rows=10", "micro_batch_rows=5", "checkpoint_every=2", "lora.dropout=0.2")
    straight = harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, tmp_path / "straight")
    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, out, callbacks=[_StopAt(7)])
    if torn:
        state = out / "checkpoints" / "checkpoint-6" / "trainer_state.json"
        state.write_text(state.read_text()[:100])
    seen: list[tuple[int, int]] = []
    resumed = harden(
        tiny_llama, RowSet(tuple(toy_rows)), recipe, out, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[0] == ((4 if torn else 6), 8)
    assert seen[-1] == (8, 8)
    _same(straight.path, resumed.path)
    assert resumed.curve == straight.curve


def test_a_training_that_ran_out_of_memory_goes_on_with_its_work_cut_smaller(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    common = ("max_steps=4", "batch_rows=12", "lora.dropout=0.0", "checkpoint_every=2")
    straight = harden(tiny_llama, RowSet(tuple(toy_rows)), _recipe(*common, "micro_batch_rows=12"), tmp_path / "1")
    with pytest.raises(KeyboardInterrupt):
        harden(
            tiny_llama, RowSet(tuple(toy_rows)), _recipe(*common, "micro_batch_rows=12"), tmp_path / "2",
            callbacks=[_StopAt(3)],
        )  # fmt: skip
    smaller = _recipe(*common, "micro_batch_rows=3", "gradient_checkpointing=true")
    seen: list[int] = []
    resumed = harden(
        tiny_llama, RowSet(tuple(toy_rows)), smaller, tmp_path / "2", progress=lambda done, _: seen.append(done)
    )
    assert seen[0] == 2
    _same(straight.path, resumed.path, atol=1e-3)


def test_equivalent_batch_settings_give_the_same_weights(tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    common = ("max_steps=4", "batch_rows=12", "lora.dropout=0.0")
    whole = harden(tiny_llama, RowSet(tuple(toy_rows)), _recipe(*common), tmp_path / "1")
    cut = harden(tiny_llama, RowSet(tuple(toy_rows)), _recipe(*common, "micro_batch_rows=1"), tmp_path / "12")
    for one, other in zip(whole.curve, cut.curve, strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-3)
    _same(whole.path, cut.path, atol=1e-3)


def test_full_fine_tuning_saves_a_model(tiny_gemma: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    """Gemma's head is tied to its embeddings: the frozen teacher must not move along with them."""
    recipe = _recipe("mode=full", "learning_rate=0.001", "max_steps=12", "variant=picl+preserve", "batch_rows=32")
    result = harden(tiny_gemma, RowSet(tuple(toy_rows)), recipe, tmp_path)
    assert result.path.name == "model"
    assert result.curve[0]["preserve_kl"] == pytest.approx(0.0, abs=1e-4)
    assert result.curve[-1]["preserve_kl"] > 0.001
    assert result.curve[-1]["loss"] < result.curve[0]["loss"]
    model = AutoModelForCausalLM.from_pretrained(result.path)
    before = AutoModelForCausalLM.from_pretrained(tiny_gemma)
    assert not torch.equal(model.get_input_embeddings().weight, before.get_input_embeddings().weight)
    assert "AutoModelForCausalLM" in (result.path / "README.md").read_text()


def test_bfloat16_trains_the_adapter_too(tiny_qwen2: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    """A cast made under the teacher's no_grad must not be reused for the student: its gradient would be lost."""
    recipe = load_picl("picl", "dtype=bfloat16", "learning_rate=0.02", "max_steps=6", "batch_rows=16")
    result = harden(tiny_qwen2, RowSet(tuple(toy_rows)), recipe, tmp_path)
    assert all(entry["grad_norm"] > 0 for entry in result.curve)
    grown = [value for name, value in _weights(result.path).items() if "lora_B" in name]
    assert grown
    assert all(value.abs().max() > 0 for value in grown)


@pytest.fixture
def poisoned(tiny_llama: Path, tmp_path: Path) -> Path:
    """The tiny model with a NaN in the embedding of one token, which only one request contains."""
    folder = tmp_path / "poisoned"
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    AutoModelForCausalLM.from_pretrained(tiny_llama).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    [token] = tokenizer("ÿ", add_special_tokens=False)["input_ids"][:1]
    weights = load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"][token] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_a_loss_that_is_not_finite_names_its_row(poisoned: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    bad = Row("sft", replace(toy_rows[0].request, text="Tell me ÿ."), None, "I can't help with that.")
    with pytest.raises(ModelError, match=r"step 1: the loss of sft row on 'Tell me ÿ\.' is not finite") as error:
        harden(poisoned, RowSet((*toy_rows, bad)), _recipe("max_steps=3", "batch_rows=99"), tmp_path / "out")
    assert "more)" not in str(error.value)


def test_a_gradient_that_is_not_finite_stops_before_the_weights(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    class Overflow(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 1:
                parameter = next(p for p in kwargs["model"].parameters() if p.requires_grad)
                parameter.register_hook(lambda gradient: gradient * float("inf"))

    with pytest.raises(ModelError, match="step 2: the gradient is not finite"):
        harden(tiny_llama, RowSet(tuple(toy_rows)), _recipe("max_steps=4"), tmp_path, callbacks=[Overflow()])


def test_rows_too_long_or_without_weight_are_left_out_and_counted(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    long = Row("sft", toy_rows[0].request, None, "first, second, third. " * 60)
    result = harden(tiny_llama, RowSet((*toy_rows, long)), _recipe("max_steps=1", "max_length=150"), tmp_path / "a")
    assert result.left_out == {"sft: over 150 tokens": 1}
    result = harden(tiny_llama, RowSet(tuple(toy_rows)), _recipe("max_steps=1", "variant=dpo"), tmp_path / "b")
    assert result.left_out == {"preserve: no weight in this recipe": 6, "sft: no weight in this recipe": 3}
    assert {"dpo"} == set(result.curve[0]) & {"dpo", "nll", "pic", "preserve_kl", "preserve_nll", "chosen_nll"}
    with pytest.raises(DataError, match="no training row is of use"):
        harden(tiny_llama, RowSet(tuple(toy_rows)), _recipe("max_length=8"), tmp_path / "c")


Attempt = Callable[[Path, list[Row], Path], HardenResult]


@pytest.mark.parametrize(
    ("attempt", "kind", "message"),
    [
        (lambda m, r, o: harden(m / "none", RowSet(tuple(r)), _recipe(), o), ModelError, "no model folder at"),
        (lambda m, r, o: harden(m, RowSet(()), _recipe(), o), DataError, "nothing to train on"),
        (
            lambda m, r, o: harden(m, RowSet(tuple(r)), _recipe("method=pickle"), o),
            PersonaProofError,
            "did you mean 'picl'",
        ),
        (
            lambda m, r, o: harden(m, RowSet(tuple(r)), _recipe("lora.target_modules=[c_attn]"), o),
            RecipeError,
            "this model has down_proj",
        ),
        (
            lambda m, r, o: harden(m, RowSet(tuple(r)), _recipe("lora.target_modules=[lm_head]"), o),
            RecipeError,
            "lm_head",
        ),
        (lambda m, r, o: load_picl("picl", "lambda=1"), RecipeError, "unknown key"),
        (lambda m, r, o: load_picl("pickl"), RecipeError, "did you mean 'picl'"),
        (lambda m, r, o: load_picl("picl", "variant=picl+"), RecipeError, "variant"),
    ],
)
def test_bad_inputs_say_what_to_do(
    tiny_llama: Path,
    toy_rows: list[Row],
    tmp_path: Path,
    attempt: Attempt,
    kind: type[Exception],
    message: str,
) -> None:
    with pytest.raises(kind, match=message):
        attempt(tiny_llama, toy_rows, tmp_path / "out")


def test_a_variant_sets_the_weights_and_a_weight_overrides_it() -> None:
    paper = load_picl("picl", "variant=picl")
    assert (paper.dpo_weight, paper.alpha, paper.pic_weight, paper.preserve_weight) == (1, 0.1, 1, 0)
    assert load_picl().preserve_weight == 3
    mixed = load_picl("picl", "variant=sft", "pic_weight=0.5")
    assert (mixed.alpha, mixed.chosen_nll_weight, mixed.dpo_weight, mixed.pic_weight) == (1, 1, 0, 0.5)
