"""selfplay as a user runs it, on the organism."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]

SMALL = {
    "rounds": 2,
    "checks": 2,
    "stop_asr": 0,
    "stop_upper": 0,
    "later_threshold": 0.1,
    "evolve.seeds": 6,
    "evolve.requests": 8,
    "evolve.generations": 3,
    "evolve.parents": 4,
    "evolve.elites": 4,
    "audit.max_requests": 6,
    "training_requests": 8,
    "training_personas": 4,
    "training_threshold": 0.25,
    "benign_per_persona": 2,
    "validation.every": 2,
    "validation.personas": 2,
    "validation.requests": 4,
    "harden.max_steps": 4,
    "harden.checkpoint_every": 2,
}
SETTINGS = [part for name, value in SMALL.items() for part in ("--set", f"{name}={value}")]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_selfplay_runs_its_rounds_and_a_killed_one_ends_alike(personaproof: Run, tmp_path: Path) -> None:
    calm = personaproof("selfplay", "organism", "--out", "calm", *SETTINGS)
    assert calm.returncode == 0, calm.stderr
    summary = json.loads((tmp_path / "calm/summary.json").read_text())
    rounds = summary["rounds"]
    assert [each["round"] for each in rounds] == [1, 2]
    assert all(len(each["checks"]) == 2 for each in rounds)
    assert not summary["settled"]
    # Four steps harden nothing, so the second round has more to train on than the first.
    assert rounds[1]["rows"]["preference.persona"] > rounds[0]["rows"]["preference.persona"]
    assert len({each["fingerprint"] for each in rounds} | {summary["model"]["fingerprint"]}) == 3
    matrix = summary["matrix"]
    assert len(matrix) == 3
    assert all(len(row) == 2 and all(set(rate) == {"value", "ci95", "n"} for rate in row) for row in matrix)
    manifest = json.loads((tmp_path / "calm/manifest.json").read_text())
    splits = manifest["details"]["splits"]["harmful"]
    assert "check" in json.dumps(splits)
    report = (tmp_path / "calm/report.html").read_text()
    assert "Self-play" in report

    command = [sys.executable, "-m", "personaproof", "selfplay", "organism", "--out", "killed", *SETTINGS]
    for wait in (15, 25):
        process = subprocess.Popen(
            command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(wait)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = personaproof("selfplay", "organism", "--out", "killed", *SETTINGS)
    assert last.returncode == 0, last.stderr
    assert (tmp_path / "killed/summary.json").read_bytes() == (tmp_path / "calm/summary.json").read_bytes()


def test_selfplay_refuses_what_it_cannot_train(personaproof: Run) -> None:
    served = personaproof("selfplay", "openai:some-model", "--base-url", "http://localhost:1/v1")
    assert served.returncode == 2
    assert "needs the weights" in served.stderr
    unknown = personaproof("selfplay", "organism", "--set", "round=3")
    assert unknown.returncode == 2
    assert "rounds" in unknown.stderr
