"""`personaproof recognize` as a user runs it."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from personaproof.cli._shell import FAILED, run

Run = Callable[..., subprocess.CompletedProcess[str]]
SMALL = ("--set", "max_roles=5", "--set", "max_questions=3", "--set", "bootstrap=200")


@pytest.mark.long
def test_the_organism_is_studied_continued_and_compared(personaproof: Run, tmp_path: Path) -> None:
    first = personaproof("recognize", "organism", *SMALL, "--out", "one")
    assert first.returncode == 0, first.stderr
    assert "18 texts to write" in first.stdout
    summary = json.loads((tmp_path / "one/summary.json").read_text())
    assert summary["verdict"]["sentence"].split()[0] in first.stdout
    assert len(summary["matrices"]["claims"]) == 6
    # The organism is trained to know its own texts where it is itself.
    metrics = summary["metrics"]
    assert metrics["assistant.claim.own"]["value"] > 0.8 > 0.2 > metrics["assistant.claim.others"]["value"]
    assert metrics["assistant.answer.mass"]["value"] > 0.9
    assert (tmp_path / "one/report.html").stat().st_size > 10_000

    again = personaproof("recognize", "organism", *SMALL, "--out", "one", "--against", "one")
    assert again.returncode == 0, again.stderr
    compared = json.loads((tmp_path / "one/summary.json").read_text())
    assert "Both studies" in again.stdout
    changes = compared.pop("comparison")["changes"]
    assert compared == summary
    assert all(change["value"] in (0, None) for change in changes.values())


def test_what_cannot_be_studied_is_an_error_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (["openai:gpt"], "a local folder or a Hub id"),
        (["organism", "--against", "empty"], "no finished run of `personaproof recognize`"),
        (["organism", "--set", "max_role=5"], "max_roles"),
        (["organism", "--set", "panel=organisms"], "organism"),
    ):
        assert run(["recognize", *arguments]) == FAILED
        assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "runs").exists()


def test_an_earlier_study_that_asked_something_else_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from personaproof.core import load_recipe
    from personaproof.directions import load_roles
    from personaproof.recognition import RecognizeRecipe, build_panel, recipe_path
    from personaproof.store import RunDirectory

    monkeypatch.chdir(tmp_path)
    settings = load_recipe(RecognizeRecipe, recipe_path("organism"), ("max_roles=5",))
    panel = build_panel(settings, load_roles(settings.panel), supports_system=True)
    square = [[0.5] * 6] * 6
    earlier = {
        "command": "recognize",
        "schema_version": 1,
        "layer": 0,
        "framing": panel.framing,
        "recipe": settings.model_dump(mode="json"),
        "personas": list(panel.names),
        "panel": {
            "personas": {member.name: member.persona and member.persona.text for member in panel.members},
            "questions": list(panel.questions),
        },
        "matrices": {
            **dict.fromkeys(("surprise", "claims"), square),
            **dict.fromkeys(("information", "activation", "mass"), square[0]),
        },
    }
    with RunDirectory.open(tmp_path / "one", command="recognize", settings={}) as left:
        left.write_summary(earlier)
    assert run(["recognize", "organism", "--set", "max_roles=5", "--against", "one"]) == FAILED
    said = " ".join(capsys.readouterr().err.split())
    assert "one and this study cannot be compared: they differ in the layer (0 against" in said
    assert not (tmp_path / "runs").exists()
