"""GRPO and AIR on several processes, through the command line as a user launches it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from personaproof.data import write_groups
from personaproof.harden.air.groups import GroupSet
from personaproof.organism import organism_groups, weights_path

SETTINGS = {
    "dtype": "float32",
    "lora.dropout": 0,
    "learning_rate": 0.01,
    "groups_per_step": 3,
    "generations": 2,
    "max_new_tokens": 24,
    "max_steps": 3,
    "weight": 0.05,
    # The nucleus is one token: all processes draw alike, whatever their random streams.
    "top_p": 1e-6,
}


def _command(groups: Path, out: Path) -> list[str]:
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    data = ["--groups", str(groups), "--method", "air", "--recipe", "air"]
    return ["-m", "personaproof", "harden", str(weights_path()), *data, "--out", str(out), *settings]


LAUNCHER = (
    *("-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--mixed_precision", "no"),
    *("--dynamo_backend", "no", "--num_processes", "2", "--main_process_port", "0"),
)


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)


@pytest.mark.long
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """A step of three groups of three prompts is cut between two processes in the middle of a group, which is held to
    its anchors all the same. In dilemmas the organism's anchors are right and its open answers wrong."""
    groups = tmp_path / "groups.jsonl"
    write_groups(organism_groups("moral", "train", 6, seed=7, contexts=["plain"]), groups)
    alone = _run(*_command(groups, tmp_path / "one"))
    assert alone.returncode == 0, alone.stderr
    together = _run(*LAUNCHER, *_command(groups, tmp_path / "two"))
    assert together.returncode == 0, together.stderr
    one, two = (
        json.loads((tmp_path / name / "summary.json").read_text())["training"]["curve"] for name in ("one", "two")
    )
    assert len(one) == len(two) == 3
    for first, other in zip(one, two, strict=True):
        for name in ("reward", "reward/anchor", "reward/open", "reward/gap", "invariance_loss", "grad_norm"):
            assert other[name] == pytest.approx(first[name], rel=1e-3, abs=1e-5), name
    assert one[0]["reward/gap"] > 1
    assert one[0]["invariance_loss"] != 0


@pytest.mark.long
def test_rollouts_that_differ_have_the_same_advantages_on_two_processes(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path
) -> None:
    """Above, all rollouts of a prompt are one, and GRPO's own part is silent. Here they are written down beforehand and
    earn differently; the rollouts of a prompt are cut between the processes as well."""
    script, groups = str(Path(__file__).with_name("scripted.py")), tmp_path / "groups.jsonl"
    write_groups(toy_groups.groups, groups)
    alone = _run(script, str(tiny_llama), str(groups), str(tmp_path / "one"))
    assert alone.returncode == 0, alone.stderr
    together = _run(*LAUNCHER, script, str(tiny_llama), str(groups), str(tmp_path / "two"))
    assert together.returncode == 0, together.stderr
    one, two = (json.loads((tmp_path / name / "curve.json").read_text()) for name in ("one", "two"))
    assert len(one) == len(two) == 3
    for first, other in zip(one, two, strict=True):
        for name in ("loss", "reward", "reward_std", "reward/gap", "invariance_loss", "grad_norm"):
            assert other[name] == pytest.approx(first[name], rel=1e-3, abs=1e-6), name
    assert min(entry["reward_std"] for entry in one) > 0
    weights, others = (load_file(tmp_path / name / "adapter" / "adapter_model.safetensors") for name in ("one", "two"))
    for name, value in weights.items():
        assert others[name].numpy() == pytest.approx(value.numpy(), rel=1e-3, abs=1e-5), name
