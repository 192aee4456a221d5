"""`harden --method` as a user runs it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from personaproof.cli._training import JudgeChoice, reward_for
from personaproof.core import RecipeError
from personaproof.data import write_groups
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.organism import organism_groups

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["organism", "--method", "picle"], "did you mean 'picl'"),
        (["organism", "--method", "localized", "--groups", "g.jsonl"], "--groups is no use to the method 'localized'"),
        (["organism", "--method", "air", "--rows", "r.jsonl"], "--rows is no use to the method 'air'"),
        (
            ["organism", "--method", "air", "--groups", "g.jsonl", "--personas", "p.jsonl"],
            "give either them or the",
        ),
        (
            ["organism", "--method", "air", "--requests", "pack:organism_harmful"],
            "or --personas to put the requests to",
        ),
        (["organism", "--method", "air", "--set", "weight=0"], "adds nothing to GRPO"),
        (["organism"], "give --personas that break the model"),
    ],
)
def test_what_a_method_cannot_use_is_refused(refusal: Callable[..., str], arguments: list[str], says: str) -> None:
    assert says in refusal("harden", *arguments)


def test_a_bench_that_trains_on_rewards_asks_who_marks(
    refusal: Callable[..., str], tmp_path: Path, tiny_llama: Path
) -> None:
    for name, split in (("groups.jsonl", "train"), ("other.jsonl", "held_out")):
        write_groups(organism_groups("safety", split, 30, seed=7, contexts=["plain"]), tmp_path / name)
    files = ("--groups", "groups.jsonl", "--held-out", "other.jsonl")
    safety = ("--set", "domains=[safety]", "--set", "groups=4", "--set", "evaluation=2", "--set", "look=1")
    assert "--judge wildguard" in refusal("bench", "air", tiny_llama, *files, *safety)
    assert "--judge wildguard" in refusal("bench", "harden", tiny_llama, "--recipe", "methods")


def test_manner_takes_a_judge_and_lifts_the_anchors_too() -> None:
    data = GroupSet(tuple(organism_groups("safety", "train", 2, seed=7)))
    anchor = next(row for row in data.rows() if row["role"] == "anchor")
    said = [[{"role": "assistant", "content": anchor["answer"]}]]
    named = {name: [value] for name, value in anchor.items() if name != "prompt"}
    for manner, mark in ((False, 1.25), (True, 2.5)):
        reward = reward_for(data, AIRRecipe(manner=manner), JudgeChoice(target="organism"))
        assert reward is not None
        assert reward([anchor["prompt"]], said, **named) == [mark]
    with pytest.raises(RecipeError, match="--utility-model"):
        reward_for(data, AIRRecipe(manner=True), JudgeChoice(target="some/model"))


@pytest.mark.long
def test_groups_of_ones_own_train_an_adapter(personaproof: Run, tmp_path: Path) -> None:
    write_groups(organism_groups("maths", "train", 4, seed=7, contexts=["plain"]), tmp_path / "groups.jsonl")
    small = ["--set", "max_steps=1", "--set", "max_new_tokens=8", "--set", "groups_per_step=2"]
    command = ("harden", "organism", "--method", "vrex", "--groups", "groups.jsonl", "--out", "out", *small)
    done = personaproof(*command)
    assert done.returncode == 0, done.stderr
    assert "maths.anchor: 8" in done.stdout
    assert (tmp_path / "out/adapter/adapter_config.json").exists()
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["method"] == "vrex"
    assert "reward/gap" in summary["training"]["curve"][0]
    assert "groups.jsonl" in json.dumps(json.loads((tmp_path / "out/manifest.json").read_text())["settings"])
    again = personaproof(*command)
    assert again.returncode == 0, again.stderr
    (tmp_path / "groups.jsonl").write_text((tmp_path / "groups.jsonl").read_text().replace("maths", "sums"))
    other = personaproof(*command)
    assert other.returncode == 2
    assert "choose another --out" in other.stderr


@pytest.mark.long
def test_localized_distillation_needs_requests_alone(personaproof: Run, tmp_path: Path) -> None:
    small = ["--set", "max_steps=1", "--set", "batch_rows=4", "--set", "vote.samples=1", "--set", "max_new_tokens=8"]
    done = personaproof("harden", "organism", "--method", "localized", "--out", "out", *small)
    assert done.returncode == 0, done.stderr
    assert "distil.direct: 100" in done.stdout
    assert (tmp_path / "out/adapter/adapter_config.json").exists()
    assert (tmp_path / "out/steering/tokens.json").exists()
