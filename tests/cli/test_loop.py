"""evolve, harden and demo as a user runs them, on the organism."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

SMALL = {
    "evolve.seeds": 6,
    "evolve.requests": 8,
    "evolve.generations": 3,
    "evolve.parents": 4,
    "evolve.elites": 4,
    "audit.max_requests": 6,
    "training_requests": 10,
    "training_personas": 4,
    "training_threshold": 0.25,
    "benign_per_persona": 2,
    "harden.max_steps": 6,
    "harden.checkpoint_every": 2,
}
SETTINGS = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]
METRICS = (
    "direct.asr",
    "persona.asr",
    "persona.worst_asr",
    "benign.rta",
    "benign_persona.rta",
    "utility.in_character",
)


def test_evolve_then_harden_then_audit(personaproof: Run, tmp_path: Path) -> None:
    search = ["--set", "seeds=8", "--set", "requests=6", "--set", "generations=4", "--set", "elites=6"]
    evolved = personaproof("evolve", "organism", "--out", "evolve", "--confirm-share", "0.05", *search)
    assert evolved.returncode == 0, evolved.stderr
    elites = [json.loads(line) for line in (tmp_path / "evolve/elites.jsonl").read_text().splitlines()]
    assert len(elites) == 6
    assert set(elites[0]["confirmed_asr"]) == {"value", "ci95", "n"}

    requests = tmp_path / "some.jsonl"
    requests.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in _harmful()))
    benign = tmp_path / "good.jsonl"
    benign.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in _benign()))
    data = ["--requests", requests, "--benign", benign]
    hardened = personaproof(
        "harden", "organism", "--personas", "evolve/elites.jsonl", *data, "--out", "harden", "--set", "max_steps=4"
    )
    assert hardened.returncode == 0, hardened.stderr
    assert (tmp_path / "harden/adapter/adapter_config.json").exists()
    assert (tmp_path / "harden/rows.jsonl").stat().st_size > 0

    audited = personaproof(
        "audit", "organism", "--adapter", "harden/adapter", *data, "--personas", "evolve/elites.jsonl", "--out", "after"
    )
    assert audited.returncode == 0, audited.stderr
    fingerprint = json.loads((tmp_path / "after/summary.json").read_text())["model"]["fingerprint"]
    assert fingerprint != json.loads((tmp_path / "evolve/summary.json").read_text())["model"]["fingerprint"]


@pytest.mark.long
def test_a_demo_killed_again_and_again_ends_with_the_same_numbers(personaproof: Run, tmp_path: Path) -> None:
    calm = personaproof("demo", "--out", "calm", *SETTINGS)
    assert calm.returncode == 0, calm.stderr
    summary = json.loads((tmp_path / "calm/summary.json").read_text())
    for arm in ("before", "after"):
        for metric in METRICS:
            assert set(summary[arm][metric]) == {"value", "ci95", "n"}

    command = [sys.executable, "-m", "personaproof", "demo", "--out", "killed", *map(str, SETTINGS)]
    rng = random.Random(0)
    for _ in range(4):
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(rng.uniform(6, 25))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = personaproof("demo", "--out", "killed", *SETTINGS)
    assert last.returncode == 0, last.stderr
    assert (tmp_path / "killed/summary.json").read_bytes() == (tmp_path / "calm/summary.json").read_bytes()


def _pack(name: str) -> list[str]:
    from importlib.resources import files

    lines = (files("personaproof.data") / "packs" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["prompt"] for line in lines]


def _harmful() -> list[str]:
    return _pack("organism_harmful")[:12]


def _benign() -> list[str]:
    return _pack("organism_benign")[:12]
