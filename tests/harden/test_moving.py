"""What moves along with the weights: the averaged teacher and the adaptive weight, also across a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from transformers import TrainerCallback

from personaproof.core import ModelError, RecipeError
from personaproof.harden import VARIANTS, PICLRecipe, Row, RowSet, harden, load_picl
from personaproof.harden.head import OutputHead
from personaproof.harden.picl.adaptive import BOUNDS, AdaptiveWeight
from personaproof.harden.picl.ema import WeightAverage

BASE = (
    "dtype=float32",
    "batch_rows=10",
    "micro_batch_rows=5",
    "learning_rate=0.02",
    "lora.dropout=0.2",
    "gradient_checkpointing=false",
)


def test_the_average_is_the_weighted_sum_of_all_weights_so_far() -> None:
    layer = nn.Linear(2, 3, bias=False)
    nn.init.constant_(layer.weight, 1.0)
    average = WeightAverage(layer, 0.75)
    for value in (2.0, 5.0):
        nn.init.constant_(layer.weight, value)
        average.update()
    expected = 0.75 * (0.75 * 1.0 + 0.25 * 2.0) + 0.25 * 5.0
    assert average.values["weight"].unique().tolist() == pytest.approx([expected])


def test_the_average_takes_the_place_of_the_weights_and_gives_it_back() -> None:
    layer = nn.Linear(2, 2, bias=True)
    layer.bias.requires_grad_(False)
    average = WeightAverage(layer, 0.5)
    before = layer.weight.detach().clone()
    nn.init.constant_(layer.weight, 7.0)
    x = torch.randn(1, 2)
    graph = layer(x.requires_grad_())
    assert set(average.values) == {"weight"}

    def cut_off() -> None:
        with average.in_place():
            assert torch.equal(layer.weight, before)
            assert torch.equal(layer(x), nn.functional.linear(x, before, layer.bias))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert (layer.weight == 7.0).all()
    graph.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[14.0, 14.0]]


def test_a_shortened_copy_of_the_weights_is_not_taken_for_the_average() -> None:
    """Autocast keeps one under the parameter's identity, which the average takes on."""
    layer = nn.Linear(2, 2, bias=False)
    average = WeightAverage(layer, 0.5)
    x = torch.ones(1, 2)
    nn.init.constant_(layer.weight, 7.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        student = layer(x)
        with average.in_place():
            assert not torch.equal(layer(x), student)
        assert torch.equal(layer(x), student)


def test_the_averaged_head_is_the_heads_own_where_it_does_not_train() -> None:
    layer = nn.Linear(2, 3)
    layer.bias.requires_grad_(False)
    average = WeightAverage(layer, 0.5)
    head = average.head(OutputHead(layer.weight, layer.bias, scale=2.0, softcap=3.0))
    assert head.weight is average.values["weight"]
    assert head.bias is layer.bias
    assert (head.scale, head.softcap) == (2.0, 3.0)


def test_the_average_of_other_weights_is_refused() -> None:
    with pytest.raises(ModelError, match="other weights"):
        WeightAverage(nn.Linear(2, 2), 0.5).load({"weight": torch.zeros(2, 2)})


def test_the_weight_rises_over_the_target_and_falls_under_it() -> None:
    weight = AdaptiveWeight(0.1)
    for divergence, factor in ((0.1, 1.0), (0.11, 1.01), (9.0, 1.01 * 1.02), (0.0, 1.01 * 1.02 * 0.98)):
        weight.update(divergence)
        assert weight.factor == pytest.approx(factor)


@given(st.lists(st.floats(0, 1e6), max_size=300))
def test_the_weight_stays_within_its_bounds(divergences: list[float]) -> None:
    weight = AdaptiveWeight(0.1)
    for divergence in divergences:
        weight.update(divergence)
        assert BOUNDS[0] <= weight.factor <= BOUNDS[1]


class _StopAt(TrainerCallback):
    """A kill, as near as a test can come to it in one process."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("settings", "file"),
    [
        (("teacher=ema", "ema_decay=0.7", "preserve_target=0.05"), "adapter/adapter_model.safetensors"),
        (("teacher=ema", "ema_decay=0.7", "mode=full", "learning_rate=0.001"), "model/model.safetensors"),
        (("variant=symmetric-kl",), "adapter/adapter_model.safetensors"),
    ],
    ids=["average and adaptive weight", "average of all weights", "symmetric"],
)
def test_a_training_cut_off_ends_with_the_very_same_losses_and_weights(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path, settings: tuple[str, ...], file: str
) -> None:
    """With dropout in the student, several passes a step and a kill one step after the checkpoint."""
    recipe = load_picl("picl", *BASE, "max_steps=6", "checkpoint_every=2", *settings)
    straight = harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, tmp_path / "straight")
    out = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, out, callbacks=[_StopAt(5)])
    resumed = harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, out)
    assert resumed.curve == straight.curve
    one, other = load_file(tmp_path / "straight" / file), load_file(out / file)
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    if "preserve_target=0.05" in settings:
        weights = [entry["preserve_weight"] for entry in straight.curve]
        # Logged after the step: the untrained model costs nothing at first, and then more than the target.
        assert weights[0] == pytest.approx(3 * 0.98)
        assert len(set(weights)) > 1


def test_the_averaged_teacher_makes_a_difference(tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    """Before the first step it is the live one; afterwards it lags."""
    curves = {
        teacher: harden(
            tiny_llama,
            RowSet(tuple(toy_rows)),
            load_picl("picl", *BASE, "max_steps=3", f"teacher={teacher}"),
            tmp_path / teacher,
        ).curve
        for teacher in ("live", "ema")
    }
    assert curves["live"][0]["pic"] == curves["ema"][0]["pic"]
    assert curves["live"][2]["pic"] != curves["ema"][2]["pic"]


def test_the_seven_variants_each_one_setting_and_what_is_written_wins() -> None:
    assert len(VARIANTS) == 7
    made = {name: load_picl("picl", f"variant={name}") for name in VARIANTS}
    assert len({recipe.model_dump_json(exclude={"variant"}) for recipe in made.values()}) == 7
    paper = made["picl"]
    assert (paper.beta, paper.alpha, paper.pic_weight, paper.teacher, paper.kl_top_k) == (0.1, 0.1, 1, "live", 100)
    assert (made["picl+preserve"].kl_top_k, made["picl+preserve"].preserve_weight) == (None, 3)
    assert made["symmetric-kl"].divergence == "symmetric"
    assert made["frozen-kl"].teacher == "frozen"
    exact = load_picl("picl", "variant=picl", "kl_top_k=null", "teacher=ema")
    assert (exact.kl_top_k, exact.teacher, exact.pic_weight) == (None, "ema", 1)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("variant=symmetric-kl", "teacher=frozen"), "symmetric goes with teacher=live"),
        (("variant=picl", "divergence=symmetric"), "without kl_top_k"),
        (("variant=picl", "preserve_target=0.1"), "must be above 0"),
        (("kl_top_k=0",), "kl_top_k"),
        (("pic_positions=first",), "pic_positions"),
        (("ema_decay=1.0",), "ema_decay"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_picl("picl", *overrides)


def test_a_recipe_read_back_from_its_own_dump_is_the_same() -> None:
    for name in VARIANTS:
        recipe = PICLRecipe.model_validate({"variant": name})
        assert PICLRecipe.model_validate(recipe.model_dump(mode="json")) == recipe
