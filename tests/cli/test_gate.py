"""`personaproof gate`, in a process of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from personaproof.cli import _models
from personaproof.cli.gate import gate
from personaproof.core import ModelError

Run = Callable[..., subprocess.CompletedProcess[str]]
SMALL = [
    flag
    for setting in (
        "doses=[1, 3]",
        "search_doses=[3]",
        "layers=[3]",
        "requests=12",
        "search_requests=8",
        "benign=8",
        "refusal_doses=[1]",
    )
    for flag in ("--set", setting)
]


def test_a_study_without_a_rater_is_refused_before_anything_is_loaded_or_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(_models, "open_engine", lambda model, **_: loaded.append(model))
    with pytest.raises(ModelError, match="--trait-model"):
        gate("any/model", out=tmp_path / "run")
    assert not loaded
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_what_cannot_be_studied_is_said_at_once(personaproof: Run) -> None:
    served = personaproof("gate", "openai:any")
    assert served.returncode == 2
    assert "needs the weights" in served.stderr
    unknown = personaproof("gate", "organism", "--set", "dosis=[1]")
    assert unknown.returncode == 2
    assert "did you mean 'doses'" in unknown.stderr
    missing = personaproof("gate", "organism", "--persona-direction", "nowhere")
    assert missing.returncode == 2
    assert "nowhere.safetensors" in missing.stderr


@pytest.mark.long
def test_a_small_study_leaves_its_files_and_is_not_done_twice(personaproof: Run, tmp_path: Path) -> None:
    done = personaproof("gate", "organism", "--out", "one", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "answers under interventions" in done.stdout
    out = tmp_path / "one"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["verdict"]["answer"] in ("gates", "no gating", "cannot tell")
    assert all(set(entry) == {"value", "ci95", "n"} for entry in summary["metrics"].values())
    page = (out / "report.html").read_text()
    assert "Knockout and restoration" in page
    again = personaproof("gate", "organism", "--out", "one", *SMALL)
    assert again.returncode == 0, again.stderr
    assert "Reading directions" not in again.stdout
    assert json.loads((out / "summary.json").read_text()) == summary
    other = personaproof("gate", "organism", "--out", "one", *SMALL, "--set", "seed=1")
    assert other.returncode == 2
    given = personaproof("gate", "organism", "--out", "two", *SMALL, "--persona-direction", out / "persona-direction")
    assert given.returncode == 0, given.stderr
    place = json.loads((tmp_path / "two/summary.json").read_text())["place"]
    assert (place["layer"], place["position"]) == (3, summary["place"]["position"])
