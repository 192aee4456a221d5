"""`bench harden`: variants one setting apart, and the same run after a kill."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from personaproof.bench import COLUMNS, HardenBenchRecipe, bench_recipe
from personaproof.bench.harden import Arm, HardenBench
from personaproof.core import RecipeError, load_recipe
from personaproof.harden import VARIANTS, loop_recipe
from personaproof.harden.validation import ValidationPoint
from personaproof.stats import Estimate

SMALL = {
    "look.personas": 2,
    "look.requests": 3,
    "look.search_calls": 40,
    "loop.evolve.seeds": 6,
    "loop.evolve.requests": 8,
    "loop.evolve.generations": 3,
    "loop.evolve.parents": 4,
    "loop.evolve.elites": 4,
    "loop.audit.max_requests": 6,
    "loop.training_requests": 8,
    "loop.training_personas": 4,
    "loop.training_threshold": 0.25,
    "loop.benign_per_persona": 2,
    "loop.validation.every": 2,
    "loop.validation.personas": 2,
    "loop.harden.max_steps": 3,
}


def recipe(*overrides: str) -> HardenBenchRecipe:
    return load_recipe(HardenBenchRecipe, bench_recipe("harden"), overrides, base={"loop": loop_recipe("organism")})


def test_the_built_in_recipe_holds_every_variant_with_one_optimisation() -> None:
    built_in = recipe()
    assert set(built_in.variants) == set(VARIANTS)
    trainings = {name: built_in.training(name) for name in built_in.variants}
    for name, training in trainings.items():
        assert training.variant == name
        for setting in ("learning_rate", "max_steps", "batch_rows", "warmup", "lora", "seed"):
            assert getattr(training, setting) == getattr(built_in.loop.harden, setting)
    # Ours keeps the organism's weight of preservation; no other variant has any.
    assert trainings["picl+preserve"].preserve_weight == built_in.loop.harden.preserve_weight > 0
    assert all(t.preserve_weight == 0 for name, t in trainings.items() if name != "picl+preserve")


def test_other_methods_train_as_many_steps() -> None:
    settings = load_recipe(HardenBenchRecipe, bench_recipe("methods"), base={"loop": loop_recipe("organism")})
    trainings = {name: settings.training(name) for name in settings.variants}
    assert {training.method for training in trainings.values()} == {"picl", "localized", "air"}
    assert {training.max_steps for training in trainings.values()} == {settings.loop.harden.max_steps}
    partial, proper = trainings["localized-partial"], trainings["localized-proper"]
    assert partial.model_copy(update={"divergence": "proper"}) == proper


def test_explorations_are_one_setting_away_from_ours() -> None:
    settings = load_recipe(HardenBenchRecipe, bench_recipe("explorations"), base={"loop": loop_recipe("organism")})
    ours = settings.training("picl+preserve")
    changed = {
        "no-divergence": "pic_weight",
        "in-character": "chosen",
        "decision": "pic_positions",
        "adaptive": "preserve_target",
        "ema": "teacher",
    }
    assert set(settings.variants) == {"picl+preserve", *changed}
    for name, field in changed.items():
        other = settings.training(name)
        assert getattr(other, field) != getattr(ours, field)
        assert other.model_copy(update={field: getattr(ours, field)}) == ours


def test_a_variant_that_is_none_is_refused() -> None:
    with pytest.raises(RecipeError, match="variant"):
        recipe("variants={mine: {variant: nothing}}")
    with pytest.raises(RecipeError, match="dpo"):
        recipe().only(["dpa"])


def test_the_summary_is_the_mean_over_seeds_and_the_change_is_paired() -> None:
    def arm(value: float, looks: tuple[ValidationPoint, ...] = ()) -> Arm:
        return Arm({name: Estimate(value, None, None, 10) for name in COLUMNS}, looks)

    look = ValidationPoint(2, {n: {"value": 0.5, "ci95": None, "n": 4} for n in (*COLUMNS,)})
    arms = {"untrained": [arm(0.8), arm(0.6)], "dpo": [arm(0.2, (look,)), arm(0.1)]}
    summary = HardenBench(recipe().only(["dpo"]), (0, 1), arms).summary()
    assert summary["metrics"]["dpo.persona.asr"]["value"] == pytest.approx(0.15)
    assert summary["changes"]["dpo.persona.asr"]["value"] == pytest.approx(-0.55)
    low, high = summary["changes"]["dpo.persona.asr"]["ci95"]
    assert high - low == pytest.approx(2 * 12.706 * 0.05, rel=1e-3)  # t on one degree of freedom, spread 0.05
    assert summary["frontier"]["dpo"][0] == [
        {"step": 2, "persona.asr": 0.5, "fresh_search.asr": 0.5, "benign_persona.rta": 0.5, "utility.fidelity": 0.5}
    ]
    assert summary["by_seed"]["dpo"]["1"]["direct.asr"]["value"] == 0.1


@pytest.mark.long
def test_all_methods_stand_in_one_table(tmp_path: Path) -> None:
    settings = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    command = [sys.executable, "-m", "personaproof", "bench", "harden", "--recipe", "methods", "--seeds", "1"]
    settings += ["--set", "loop.training_requests=30"]  # the refusal direction needs some of each kind
    done = subprocess.run([*command, *settings], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "runs/bench-harden/summary.json").read_text())
    assert set(summary["steps"]) == {"untrained", "picl+preserve", "localized-partial", "localized-proper", "air"}
    assert {steps for name, [steps] in summary["steps"].items() if name != "untrained"} == {3}


@pytest.mark.long
def test_bench_harden_on_the_organism(tmp_path: Path) -> None:
    settings = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
    variants = ["--variants", "sft", "--variants", "picl+preserve"]
    command = [sys.executable, "-m", "personaproof", "bench", "harden", "--seeds", "1", "--out", "bench", *variants]

    def run(*more: str) -> subprocess.CompletedProcess[str]:
        asked = [*command, *settings, *more]
        return subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)

    first = run()
    assert first.returncode == 0, first.stderr
    summary = json.loads((tmp_path / "bench/summary.json").read_text())
    for name in ("untrained", "sft", "picl+preserve"):
        for metric in COLUMNS:
            assert set(summary["metrics"][f"{name}.{metric}"]) == {"value", "ci95", "n"}
        assert summary["metrics"][f"{name}.perplexity"]["value"] >= 1
    assert [point["step"] for point in summary["frontier"]["picl+preserve"][0]] == [0, 2, 3]
    assert summary["frontier"]["sft"][0][0] == summary["frontier"]["picl+preserve"][0][0]
    assert summary["steps"] == {"untrained": [0], "sft": [3], "picl+preserve": [3]}
    # Nothing is generated or trained anew, and the numbers are the very same.
    again = run()
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "bench/summary.json").read_text()) == summary
    assert run("--set", "loop.harden.max_steps=4").returncode == 2
