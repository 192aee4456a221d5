"""`bench air`: its recipe, its summary, and a small run on the organism."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from personaproof.bench import AIRArm, AIRBench, AIRBenchRecipe, GroupData, bench_recipe
from personaproof.bench.air import planned_answers
from personaproof.cli._groups import bench_proof
from personaproof.core import DataError, PersonaProofError, RecipeError, load_recipe
from personaproof.harden.validation import ValidationPoint
from personaproof.organism import organism_groups


def recipe(*overrides: str) -> AIRBenchRecipe:
    return load_recipe(AIRBenchRecipe, bench_recipe("air"), overrides)


def test_an_arm_is_the_shared_training_by_another_method() -> None:
    settings = recipe("training.learning_rate=0.5", "arms.air.weight=0.25")
    assert settings.recipe("grpo").regulariser == "none"
    assert settings.recipe("vrex").regulariser == "vrex"
    ours = settings.recipe("air", max_steps=7)
    assert (ours.regulariser, ours.weight, ours.learning_rate, ours.max_steps) == ("air", 0.25, 0.5, 7)
    with pytest.raises(RecipeError, match="no arm is called"):
        recipe("hacking.arms=[grpo, none]")


@pytest.mark.parametrize(
    ("override", "says"),
    [("domains=[moral]", "not among the domains"), ("arms.strong={method: airs}", "did you mean 'air'")],
)
def test_a_recipe_that_could_not_be_run_is_refused_at_once(override: str, says: str) -> None:
    with pytest.raises(PersonaProofError, match=says):
        recipe(override)


def test_out_of_distribution_is_checked() -> None:
    groups = {name: tuple(organism_groups("maths", name, 4, seed=7)) for name in ("train", "held_out")}
    inside = tuple(organism_groups("maths", "train", 12, seed=7)[4:])
    data = GroupData(groups["train"], {"in": inside, "out": groups["held_out"]})
    assert "training|out" in bench_proof(data)["shared"]
    with pytest.raises(DataError, match="not out of distribution"):
        bench_proof(GroupData(groups["train"], {"in": groups["held_out"], "out": inside}))
    unnamed = [replace(group, variants=tuple(replace(v, template="") for v in group.variants)) for group in inside]
    with pytest.raises(DataError, match="do not name their wording"):
        bench_proof(GroupData(groups["train"], {"in": tuple(unnamed), "out": groups["held_out"]}))


def test_the_estimate_counts_rollouts_and_looks() -> None:
    settings = recipe("training.max_steps=4", "hacking=null", "every=2", "look=1")
    data = GroupData(
        tuple(organism_groups("maths", "train", 2, seed=7)),
        {name: tuple(organism_groups("maths", "held_out", 3, seed=7)) for name in ("in", "out")},
    )
    size, arms, looks = 9, 3, 2 + 4 // 2
    rollouts = 4 * settings.training.groups_per_step * size * settings.training.generations
    assert planned_answers(settings, data) == (1 + arms) * 6 * size + arms * (rollouts + looks * 2 * 3 * size)


def rates(value: float | None) -> dict[str, Any]:
    names = ("acc", "acc_group", "acc.anchor", "acc.open", "unjudged.rate")
    return {
        f"{split}.{domain}.{name}": {"value": value, "ci95": None, "n": 1}
        for split in ("in", "out")
        for domain in ("safety", "moral", "maths")
        for name in names
    }


def test_the_summary_is_over_seeds_and_a_gap_is_no_zero() -> None:
    point = ValidationPoint(0, {"in.acc": {"value": 0.5, "ci95": None, "n": 2}})
    arms = {
        "untrained": [AIRArm(rates(0.2)), AIRArm(rates(0.4))],
        "air": [AIRArm(rates(0.5), (point,), 3), AIRArm(rates(None))],
    }
    summary = AIRBench(recipe("hacking=null"), (0, 1), arms, {}).summary()
    mean = summary["metrics"]["untrained.out.mean.acc_group"]
    assert mean["value"] == pytest.approx(0.3)
    assert mean["n"] == 2
    assert summary["metrics"]["air.in.safety.acc"] == {"value": 0.5, "ci95": None, "n": 1}
    assert summary["steps"]["air"] == [3, 0]
    assert summary["courses"] == {"air": [[point.as_json()], []]}
    assert summary["hacking"] == {}


@pytest.mark.long
def test_a_small_run_is_reported_and_repeats_nothing(tmp_path: Path) -> None:
    settings = {
        "training.max_steps": 2,
        "training.max_new_tokens": 16,
        "groups": 3,
        "evaluation": 2,
        "look": 1,
        "every": 1,
        "hacking.steps": 1,
        "hacking.every": 1,
    }
    command = ["bench", "air", "--seeds", "1", "--first-seed", "7", "--out", "out"]
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]

    def run() -> subprocess.CompletedProcess[str]:
        asked = [sys.executable, "-m", "personaproof", *command]
        return subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    assert "Out of distribution" in first.stdout
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert set(summary["arms"]) == {"untrained", "grpo", "vrex", "air"}
    assert [point["step"] for point in summary["courses"]["air"][0]] == [0, 1, 2]
    assert [point["step"] for point in summary["hacking"]["grpo"][0]] == [0, 1]
    assert "A reward that can be gamed" in (tmp_path / "out/report.html").read_text()
    proof = json.loads((tmp_path / "out/seed-7/manifest.json").read_text())["details"]["splits"]
    assert {"training", "in", "out"} <= set(json.dumps(proof).replace('"', " ").replace("|", " ").split())
    again = run()
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "out/summary.json").read_text()) == summary
