"""Settings of training beside the loss: shipped recipes and launch files, trackers, QLoRA, gradient checkpointing."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from torch.nn.modules.module import register_module_forward_pre_hook
from transformers import AutoModelForCausalLM, TrainingArguments
from transformers.models.llama.modeling_llama import LlamaAttention

from personaproof.cli._training import Sources, judge_choice, read_data
from personaproof.core import DataError, RecipeError, builtin_recipes, load_recipe
from personaproof.harden import (
    VARIANTS,
    HardenResult,
    LoopRecipe,
    PICLRecipe,
    Row,
    RowSet,
    chunked,
    harden,
    load_picl,
    methods,
    recipe_path,
)
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.trainer import train_in_float32
from personaproof.harden.card import render_card
from personaproof.harden.environment import check_environment
from personaproof.harden.launch import LAUNCH, launch_path
from personaproof.harden.loading import _with_adapter, quantization
from personaproof.harden.recipe import RECIPES
from personaproof.organism import organism_groups

BASE = ("dtype=float32", "batch_rows=16", "learning_rate=0.02", "lora.dropout=0.0", "gradient_checkpointing=false")
PAPER = ("qwen2.5-7b-instruct", "llama-3.1-8b-instruct")


@pytest.mark.parametrize("name", builtin_recipes(RECIPES))
def test_every_recipe_is_valid(name: str) -> None:
    path = recipe_path(name)
    method = yaml.safe_load(path.read_text()).get("method", "picl")
    assert load_recipe(methods.get(method).recipe, path).method == method


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_settings(name: str) -> None:
    recipe = load_picl(name)
    assert (recipe.method, recipe.variant, recipe.mode, recipe.dtype) == ("picl", "picl", "qlora", "bfloat16")
    assert (recipe.lora.rank, recipe.lora.alpha, recipe.lora.dropout) == (16, 32, 0.05)
    assert recipe.lora.target_modules == ("q_proj", "k_proj", "v_proj", "o_proj")
    assert (recipe.learning_rate, recipe.warmup, recipe.epochs, recipe.batch_rows) == (1e-6, 0.1, 1, 42)
    assert recipe.max_steps is None
    assert (recipe.beta, recipe.alpha, recipe.pic_weight, recipe.preserve_weight) == (0.1, 0.1, 1, 0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("multi-gpu", DistributedType.MULTI_GPU),
        ("fsdp", DistributedType.FSDP),
        ("deepspeed-zero2", DistributedType.DEEPSPEED),
    ],
)
def test_accelerate_reads_every_launch_file(name: str, kind: DistributedType) -> None:
    config = load_config_from_file(str(launch_path(name)))
    assert config.distributed_type == kind
    # Accelerate passes over keys it does not know, so nothing may be lost on the way.
    assert set(yaml.safe_load(launch_path(name).read_text())) <= set(config.to_dict())
    # The recipe's dtype decides; the launcher must not put another precision over it.
    assert config.mixed_precision == "no"


def test_there_is_no_launch_file_without_a_test() -> None:
    assert builtin_recipes(LAUNCH) == ["deepspeed-zero2", "fsdp", "multi-gpu"]
    with pytest.raises(RecipeError, match="did you mean 'fsdp'"):
        launch_path("fsdp2")


def test_what_would_train_wrongly_under_a_launcher_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "2")
    check_environment(load_picl("picl", "mode=full"))
    monkeypatch.setenv("ACCELERATE_DEEPSPEED_ZERO_STAGE", "3")
    with pytest.raises(RecipeError, match=r"ZeRO-3 splits the output head.*deepspeed-zero2"):
        check_environment(load_picl("picl"))
    monkeypatch.delenv("ACCELERATE_USE_DEEPSPEED")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match="FSDP version 1"):
        check_environment(load_picl("picl"))
    monkeypatch.setenv("FSDP_VERSION", "2")
    check_environment(load_picl("picl"))
    with pytest.raises(RecipeError, match="only mode=lora can be trained, not mode=full"):
        check_environment(load_picl("picl", "mode=full"))


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_another_variant_brings_its_own_weights(variant: str) -> None:
    """Those that a recipe wrote for its own variant do not stay behind; what it says of optimisation does."""
    for name in ("organism", *PAPER):
        recipe = load_picl(name, f"variant={variant}")
        if variant != load_picl(name).variant:
            assert recipe.model_dump(include=set(VARIANTS[variant])) == VARIANTS[variant]
        assert recipe.learning_rate == load_picl(name).learning_rate
    written = load_picl("organism", "preserve_weight=1", f"variant={variant}", "alpha=0.5")
    assert (written.preserve_weight, written.alpha) == (1, 0.5)
    assert load_picl("organism", "variant=picl+preserve").preserve_weight == 20
    loop = load_recipe(LoopRecipe, overrides=[f"harden.variant={variant}"], base={"harden": {"pic_weight": 0.3}})
    kept = 0.3 if variant == "picl+preserve" else VARIANTS[variant]["pic_weight"]
    assert loop.harden.pic_weight == kept


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the Trainer sees without a launcher on a machine with two."""
    found = TrainingArguments._setup_devices

    def setup(arguments: TrainingArguments) -> torch.device:
        device: torch.device = found.func(arguments)
        arguments._n_gpu = 2
        return device

    setup_devices = cached_property(setup)
    setup_devices.__set_name__(TrainingArguments, "_setup_devices")
    monkeypatch.setattr(TrainingArguments, "_setup_devices", setup_devices)


@pytest.mark.usefixtures("two_gpus")
def test_one_process_trains_on_one_gpu(tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    recipe = load_picl("picl", *BASE, "max_steps=1", "micro_batch_rows=4")
    assert harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, tmp_path / "picl").steps == 1


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_policy_and_reference_are_made_in_one_precision(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[torch.dtype] = []
    log_softmax = chunked._Side.log_softmax

    def note(side: Any, hidden: Any, product: torch.Tensor, *buffers: Any) -> torch.Tensor:
        used.append(product.dtype)
        return log_softmax(side, hidden, product, *buffers)

    monkeypatch.setattr(chunked._Side, "log_softmax", note)
    settings = ("max_steps=1", f"mode={mode}", "variant=dpo", "dtype=bfloat16", "lora.dropout=0")
    result = harden(tiny_llama, RowSet(tuple(toy_rows)), load_picl("picl", *settings), tmp_path)
    assert set(used) == {torch.bfloat16}
    assert result.curve[0]["dpo"] == pytest.approx(math.log(2), abs=1e-3)


@pytest.mark.parametrize("mode", ["lora", "full"])
def test_gradient_checkpointing_changes_no_loss(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path, mode: str
) -> None:
    settings = (*BASE, f"mode={mode}", "max_steps=3", "learning_rate=0.005")
    plain, calls = _counted(tiny_llama, toy_rows, load_picl("picl", *settings), tmp_path / "plain")
    recipe = load_picl("picl", *settings, "gradient_checkpointing=true")
    checkpointed, more_calls = _counted(tiny_llama, toy_rows, recipe, tmp_path / "checkpointed")
    assert more_calls == 2 * calls
    for one, other in zip(plain.curve, checkpointed.curve, strict=True):
        assert one.keys() == other.keys()
        assert list(other.values()) == pytest.approx(list(one.values()), rel=1e-5, abs=1e-6)


def _counted(model: Path, rows: list[Row], recipe: PICLRecipe, out: Path) -> tuple[HardenResult, int]:
    """A training, and how often a layer's attention ran with gradients: again in the backward pass, if nothing was
    kept."""
    count = 0

    def note(module: Any, arguments: Any) -> None:
        nonlocal count
        count += isinstance(module, LlamaAttention) and torch.is_grad_enabled()

    handle = register_module_forward_pre_hook(note)
    try:
        return harden(model, RowSet(tuple(rows)), recipe, out), count
    finally:
        handle.remove()


@pytest.mark.skipif(torch.cuda.is_available(), reason="QLoRA can be had here")
def test_qlora_without_a_gpu_is_refused_before_anything_is_loaded(toy_rows: list[Row], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"mode=qlora needs a CUDA GPU.*mode=lora"):
        harden("no/such-model", RowSet(tuple(toy_rows)), load_picl("picl", "mode=qlora"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_qlora_without_bitsandbytes_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("personaproof.harden.environment.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r"pip install 'personaproof\[qlora\]'"):
        check_environment(load_picl("picl", "mode=qlora"))


def test_qlora_is_nf4_with_double_quantisation_and_its_card_says_so() -> None:
    config = quantization(torch.bfloat16)
    assert (config.load_in_4bit, config.bnb_4bit_quant_type, config.bnb_4bit_use_double_quant) == (True, "nf4", True)
    assert config.bnb_4bit_compute_dtype == torch.bfloat16
    recipe = load_picl(PAPER[0])
    result = HardenResult(Path("adapter"), "Qwen/Qwen2.5-7B-Instruct", recipe, {"sft.direct": 1}, {}, 1, (), 1.0)
    assert "quantised to 4 bits" in render_card(result)
    lora = HardenResult(Path("adapter"), "m", load_picl("picl"), {"sft.direct": 1}, {}, 1, (), 1.0)
    assert "quantised" not in render_card(lora)


def test_tensorboard_gets_every_term(tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = harden(
        tiny_llama,
        RowSet(tuple(toy_rows)),
        load_picl("picl", *BASE, "max_steps=3", "report_to=[tensorboard]"),
        tmp_path,
    )
    # Still there when the checkpoints have gone.
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name in ("loss", "dpo", "pic", "preserve_kl", "preserve_nll", "nll"):
        points = [(point.step, point.value) for point in events.Scalars(f"train/{name}")]
        assert [step for step, _ in points] == [1, 2, 3]
        assert [value for _, value in points] == pytest.approx([entry[name] for entry in result.curve], rel=1e-5)


def test_a_tracker_that_is_not_installed_names_its_package(
    tmp_path: Path, toy_rows: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("personaproof.harden.environment.find_spec", lambda name: None)
    for tracker in ("tensorboard", "wandb", "mlflow"):
        recipe = load_picl("picl", f"report_to=[{tracker}]")
        with pytest.raises(RecipeError, match=rf"{tracker} is not installed; pip install 'personaproof\[{tracker}\]'"):
            harden("no/such-model", RowSet(tuple(toy_rows)), recipe, tmp_path / "out")
    with pytest.raises(RecipeError, match="report_to"):
        load_picl("picl", "report_to=[tensorbord]")


def test_an_adapter_stays_inside_the_decoder(tiny_llama: Path) -> None:
    """A vision tower with projections of the same names gets none."""
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.tower = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(4, 4)})
    adapted = _with_adapter(model, load_picl("picl"))
    carrying = [name for name, module in adapted.named_modules() if hasattr(module, "lora_A")]
    assert len(carrying) == 4 * model.config.num_hidden_layers
    assert not any("tower" in name for name in carrying)


def test_a_policy_model_is_not_rewarded_for_a_keyword_by_default() -> None:
    groups = GroupSet(tuple(organism_groups("safety", "train", 2, seed=7, contexts=["plain"])))
    with pytest.raises(RecipeError, match="--judge wildguard"):
        judge_choice(None, None, None, "some/model", None, groups)
    assert judge_choice("patterns", None, None, "some/model", None, groups).name == "patterns"
    assert judge_choice(None, None, None, "organism", None, groups).name == "patterns"
    sums = GroupSet(tuple(organism_groups("maths", "train", 2, seed=7, contexts=["plain"])))
    assert judge_choice(None, None, None, "some/model", None, sums).name == "patterns"


def test_an_option_that_a_method_would_not_read_is_refused() -> None:
    recipe = load_recipe(methods.get("air").recipe, recipe_path("air"))
    with pytest.raises(DataError, match="--set max_new_tokens"):
        read_data(Sources("some/model", max_new_tokens=64), recipe, SimpleNamespace(supports_system=True))  # type: ignore[arg-type]


def test_what_trains_in_a_short_type_is_made_float32() -> None:
    layer = torch.nn.Linear(2, 2, dtype=torch.bfloat16)
    layer.bias.requires_grad_(False)
    train_in_float32(layer)
    assert (layer.weight.dtype, layer.bias.dtype) == (torch.float32, torch.bfloat16)
