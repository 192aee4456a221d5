"""`bench loss`: the same loss in every form, and a small run through the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from personaproof.bench import LossBench, LossBenchRecipe, run_loss_bench
from personaproof.bench.loss_case import FORMS, LossCase, LossCost, _inputs, _run, measure
from personaproof.core import ModelError, RecipeError, load_recipe

CASE = LossCase("joint", 300, 3, 20, 16, "cpu", "float64", 7)


def test_the_joint_form_is_the_dense_one_in_loss_and_gradient() -> None:
    found = {}
    for name in ("joint", "dense"):
        inputs = _inputs(CASE, torch.device("cpu"), torch.float64, vocabulary=300, tokens=20)
        found[name] = [torch.tensor(_run(FORMS[name], inputs)).double(), inputs.chosen.grad, inputs.rejected.grad]
        assert inputs.plain.grad is None
        assert inputs.head.weight.grad is None
    torch.testing.assert_close(found["joint"], found["dense"], rtol=1e-9, atol=1e-12)


def test_dpo_alone_is_the_joint_form_without_the_divergence() -> None:
    """The divergence touches the chosen response alone."""
    gradients = {}
    for name in ("joint", "dpo+teacher"):
        inputs = _inputs(CASE, torch.device("cpu"), torch.float64, vocabulary=300, tokens=20)
        gradients[name] = (_run(FORMS[name], inputs), inputs.chosen.grad, inputs.rejected.grad)
    (joint, chosen, rejected), (alone, chosen_alone, rejected_alone) = gradients.values()
    assert joint > alone
    torch.testing.assert_close(rejected, rejected_alone)
    assert not torch.allclose(chosen, chosen_alone)


def test_ratios_pair_the_repeats_and_agreement_is_the_worst() -> None:
    def cost(seconds: float, megabytes: float, loss: float = 2.0) -> LossCost:
        return LossCost(seconds, megabytes, loss, 1.0, 1.0, "cpu", "float32", 1)

    costs = {
        100: {
            "joint": [cost(1, 10), cost(4, 10, 2.2)],
            "dense": [cost(4, 100), cost(16, 100)],
            "dpo+teacher": [cost(1, 20), cost(2, 5)],
        }
    }
    summary = LossBench(LossBenchRecipe(vocabularies=(100,), repeats=2), costs).summary()
    ratios = summary["ratios"]
    assert ratios["joint_to_dense.seconds_100"]["value"] == pytest.approx(0.25)
    assert ratios["joint_to_dense.seconds_100"]["ci95"] == pytest.approx([0.25, 0.25])
    assert ratios["joint_to_dense.megabytes_100"]["value"] == pytest.approx(0.1)
    assert ratios["joint_to_dpo+teacher.seconds_100"]["value"] == pytest.approx(2**0.5)
    assert summary["metrics"]["joint.seconds_100"]["value"] == pytest.approx(2.5)
    assert summary["agreement"]["loss_100"] == pytest.approx(0.1)
    assert {name.rpartition("_")[0] for name in ratios} >= set(summary["goals"])


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "personaproof", "bench", "loss", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)


def test_memory_is_what_each_form_holds() -> None:
    """20,000 tokens in float32. Dense holds at least the log-probabilities of both responses of both rows; ours a chunk
    of 209 positions at a time, in up to four buffers and the little beside them."""
    chunk = 209 * 20_000 * 4 / 2**20
    found = {form: measure(LossCase(form, 20_000, 2, 256, 32, "cpu", "float32", 0)).megabytes for form in FORMS}
    assert found["dense"] > 4 * 256 * 20_000 * 4 / 2**20
    assert chunk / 2 < found["joint"] < 5 * chunk
    assert found["dpo+teacher"] < 5 * chunk


@pytest.mark.long
def test_the_command_measures_each_form_at_each_size(tmp_path: Path) -> None:
    sizes = ("--vocabularies", "2000", "--vocabularies", "20000", "--width", "32", "--rows", "2", "--tokens", "256")
    done = run(tmp_path, *sizes, "--repeats", "1", "--device", "cpu", "--dtype", "float32", "--out", "bench")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "bench/summary.json").read_text())
    assert set(summary["metrics"]) == {
        f"{form}.{what}_{size}" for form in FORMS for what in ("seconds", "megabytes") for size in (2000, 20000)
    }
    assert all(entry["value"] > 0 and entry["n"] == 1 for entry in summary["metrics"].values())
    assert all(value < 1e-4 for value in summary["agreement"].values())
    assert summary["ratios"]["joint_to_dense.megabytes_20000"]["value"] < 1
    assert (summary["device"], summary["dtype"]) == ("cpu", "float32")
    for said in ("20,000", "dpo+teacher", "at most 0.25"):
        assert said in done.stdout


def test_what_cannot_be_measured_says_why() -> None:
    recipe = LossBenchRecipe(vocabularies=(2000,), device="nowhere")
    with pytest.raises(ModelError, match=r"joint at a vocabulary of 2,000 could not be measured: .*'nowhere'"):
        run_loss_bench(recipe, lambda _: None)
    with pytest.raises(RecipeError, match="repeats"):
        load_recipe(LossBenchRecipe, overrides=["repeats=0"])
