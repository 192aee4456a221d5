"""`personaproof gate`, in a process of its own."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from personaproof.cli import _models
from personaproof.cli.gate import gate
from personaproof.core import ModelError, RecipeError, StoreError, load_recipe
from personaproof.directions import load_roles, load_trait
from personaproof.directions.gating import SCHEMA, GateRecipe, gate_recipe
from personaproof.store import RunDirectory

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


def _left(folder: Path, **changes: Any) -> Path:
    """What a finished study of the organism leaves for another to be compared with, as far as settings go."""
    settings = load_recipe(GateRecipe, gate_recipe("organism"))
    trait, roles = load_trait(settings.trait), load_roles(settings.roles)
    asked = {
        "study": SCHEMA,
        "recipe": settings.model_dump(mode="json"),
        "packs": {"trait": trait.model_dump(mode="json"), "roles": roles.model_dump(mode="json")},
        **changes,
    }
    with RunDirectory.open(folder, command="gate", settings=asked) as run:
        place = {"position": "p", "layer": 3, "dose": 3.0, "push": 0.5, "bypass": 0.4, "unreadable": 0.0, "depth": 5}
        run.write_summary({"place": place, "questions": {}})
    return folder


def test_an_earlier_study_that_does_not_fit_is_refused_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(_models, "open_engine", lambda model, **_: loaded.append(model))

    def said(against: Path, **options: Any) -> str:
        with pytest.raises((StoreError, RecipeError)) as caught:
            gate("organism", out=tmp_path / "run", against=against, **options)
        return str(caught.value)

    assert "no finished run of `personaproof gate`" in said(tmp_path / "nowhere")
    fits = _left(tmp_path / "fits")
    assert "persona-direction.safetensors" in said(fits)
    assert "leave --persona-direction out" in said(fits, persona_direction=tmp_path / "any")
    assert "recipe.framing was 'auto', now 'user'" in said(fits, set_=("framing=user",))
    assert "recipe.sampling.max_new_tokens" in said(fits, set_=("sampling.max_new_tokens=7",))
    assert "study was 1" in said(_left(tmp_path / "old", study=1))
    trait, roles = load_trait("organism-compliant"), load_roles("organism")
    packs = {"trait": {**trait.model_dump(mode="json"), "name": "x"}, "roles": roles.model_dump(mode="json")}
    assert "packs.trait.name was 'x'" in said(_left(tmp_path / "other", packs=packs))
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
@pytest.mark.timeout(1200)
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
    again = personaproof("gate", "organism", "--out", "three", *SMALL, "--against", "one")
    assert again.returncode == 0, again.stderr
    against = json.loads((tmp_path / "three/summary.json").read_text())["against"]
    # One model twice: nothing moves.
    assert all(change["value"] in (0, None) for change in against["changes"].values())
    assert against["sentence"][:40] in again.stdout
    assert "Against the earlier study" in (tmp_path / "three/report.html").read_text()
    saved = [(tmp_path / run / "persona-direction.json").read_bytes() for run in ("one", "three")]
    assert saved[0] == saved[1]
    other = personaproof("gate", "organism", "--out", "four", *SMALL, "--against", "one", "--requests", "pack:harmful")
    assert other.returncode == 2
    assert "asked other requests" in other.stderr
