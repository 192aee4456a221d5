"""The whole study on a tiny model: what is kept, what a rerun finds, and what the summary holds."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from personaproof.core import DataError, RecipeError, StoreError, load_recipe
from personaproof.directions import RolePack
from personaproof.engines import TransformersEngine
from personaproof.recognition import (
    Analysis,
    ClaimQuestion,
    Matrices,
    RecognizeRecipe,
    Study,
    build_panel,
    compare_studies,
    measure,
    read_conditions,
    read_matrices,
    recipe_path,
    run_study,
    study_conditions,
    study_summary,
)
from personaproof.store import RunDirectory

RunStudy = Callable[[Path], Study]


def progress(stage: str, unit: str) -> Any:
    return nullcontext(lambda done, total: None)


@pytest.fixture
def study_in(llama: TransformersEngine, recipe: RecognizeRecipe, pack: RolePack) -> RunStudy:
    """Runs, or continues, the study in a folder."""
    panel = build_panel(recipe, pack, supports_system=llama.supports_system)

    def run(path: Path) -> Study:
        with RunDirectory.open(path, command="recognize", settings={"model": llama.fingerprint}) as directory:
            return run_study(directory, recipe, llama, panel, progress)

    return run


def test_an_interrupted_study_ends_with_the_numbers_of_an_undisturbed_one(
    study_in: RunStudy, tmp_path: Path, llama: TransformersEngine, recipe: RecognizeRecipe, monkeypatch: Any
) -> None:
    whole = study_summary(study_in(tmp_path / "whole"), recipe)

    monkeypatch.setattr(llama, "batch_size", 4)
    real, calls = llama.generate_batch, []

    def stops(jobs: Any) -> Any:
        calls.append(len(jobs))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(jobs)

    monkeypatch.setattr(llama, "generate_batch", stops)
    with pytest.raises(KeyboardInterrupt):
        study_in(tmp_path / "cut")
    monkeypatch.setattr(llama, "generate_batch", real)

    with monkeypatch.context() as patch:
        asked = []

        def gives_up(*arguments: Any) -> Any:
            asked.append(arguments[2])
            if len(asked) == 3:
                raise KeyboardInterrupt
            return measured(*arguments)

        measured = measure.claims
        patch.setattr(measure, "claims", gives_up)
        with pytest.raises(KeyboardInterrupt):
            study_in(tmp_path / "cut")
    kept = {path: path.read_bytes() for path in (tmp_path / "cut/measured").iterdir()}
    assert len(kept) == 2

    undisturbed = study_summary(study_in(tmp_path / "same batches"), recipe)
    cut = study_summary(study_in(tmp_path / "cut"), recipe)
    assert json.dumps(cut, sort_keys=True) == json.dumps(undisturbed, sort_keys=True)
    assert all(path.read_bytes() == content for path, content in kept.items())
    # Other batches change results by rounding only.
    close = pytest.approx(np.array(whole["matrices"]["surprise"]), abs=1e-4)
    assert np.array(cut["matrices"]["surprise"]) == close


def test_a_finished_study_is_read_back_without_the_model(
    study_in: RunStudy, tmp_path: Path, llama: TransformersEngine, monkeypatch: Any
) -> None:
    first = study_in(tmp_path)
    for name in ("generate_batch", "plan"):
        monkeypatch.setattr(llama, name, lambda jobs: pytest.fail("asked again"))
    monkeypatch.setattr(measure, "surprise", lambda *_: pytest.fail("measured again"))
    again = study_in(tmp_path)
    assert (again.surprise == first.surprise).all()
    assert (again.activations == first.activations).all()


def test_a_damaged_row_is_an_error_that_names_the_file(study_in: RunStudy, tmp_path: Path) -> None:
    study_in(tmp_path)
    path = next((tmp_path / "measured").glob("robot-*"))
    row = json.loads(path.read_text())
    path.write_text(json.dumps({**row, "surprise": row["surprise"][:-1]}))
    with pytest.raises(StoreError, match=path.name):
        study_in(tmp_path)


def test_the_summary_holds_the_matrices_and_is_read_back(
    study_in: RunStudy, tmp_path: Path, recipe: RecognizeRecipe
) -> None:
    study = study_in(tmp_path)
    summary = json.loads(json.dumps(study_summary(study, recipe), allow_nan=False))
    assert read_conditions(summary, "here") == study_conditions(recipe, study.panel, study.layer)
    found = read_matrices(summary, "here")
    assert found.names == ("Assistant", "pirate", "robot", "wizard", "nurse")
    gains = study.surprise[0] - study.surprise
    for p, each in enumerate(summary["evaluators"]):
        own = [at for at, text in enumerate(study.texts.texts) if text.generator == p]
        assert each["information"]["value"] == pytest.approx(gains[p, own].mean())
        lengths = np.array([len(study.texts.texts[at].tokens) for at in own])
        assert found.surprise[1, p] == pytest.approx((study.surprise[1, own] / lengths).mean())
        assert found.claims[1, p] == pytest.approx(study.claims[1, own].mean())
    orders = [np.array(summary["matrices"][name]) for name in ("claims_mine_first", "claims_mine_second")]
    assert found.claims == pytest.approx((orders[0] + orders[1]) / 2)
    assert found.information[0] == found.activation[0] == 0
    assert summary["texts"]["kept"]["pirate"] + summary["texts"]["empty"].get("pirate", 0) == 3
    own_claims = [study.claims.mean(2)[t.generator, at] for at, t in enumerate(study.texts.texts) if t.generator]
    assert summary["metrics"]["claim.own"]["value"] == pytest.approx(np.mean(own_claims))
    for name, metric in summary["metrics"].items():
        if name.endswith(("own", "others", "mass")):
            assert 0 <= metric["ci95"][0] <= metric["value"] <= metric["ci95"][1] <= 1 + 1e-9
    with pytest.raises(DataError, match="audit"):
        read_matrices({**summary, "command": "audit"}, "there")


def two_studies() -> tuple[Matrices, Matrices]:
    """Before: claims follow the asymmetric gap; after: they follow nothing, and every persona is further away."""
    rng = np.random.default_rng(0)
    n = 10
    surprise, names = rng.gamma(4, 0.5, (n, n)), ("Assistant", *(f"p{i}" for i in range(1, n)))
    evidence = surprise[0] - surprise
    before = Matrices(names, surprise, 1 / (1 + np.exp(-evidence)), rng.random(n), rng.random(n), np.ones(n))
    flat = np.clip(before.claims * 0 + rng.random((n, n)), 0, 1)
    return before, Matrices(names, surprise, flat, before.information + 2, before.activation, before.mass)


def test_two_studies_are_compared_on_the_personas_they_share(recipe: RecognizeRecipe) -> None:
    before, after = two_studies()
    names = before.names
    same = compare_studies(as_summary(before), as_summary(before), recipe, ("a", "b"))
    assert all(change.value == change.low == change.high == 0 for change in same.changes.values())
    assert same.sentences[0].startswith("Both studies")

    changed = compare_studies(as_summary(before), as_summary(after), recipe, ("a", "b"))
    drop = changed.changes["r.far.asymmetric"]
    assert drop.value is not None
    assert drop.high is not None
    assert drop.value < -0.3
    assert drop.high < 0
    assert changed.changes["information"].value == pytest.approx(2)
    assert "from privileged (a)" in changed.sentences[0]

    fewer = compare_studies(as_summary(before), as_summary(after.chosen(names[:7])), recipe, ("a", "b"))
    assert fewer.personas == names[:7]
    assert fewer.left_out == names[7:]
    with pytest.raises(DataError, match="share only Assistant, p1"):
        compare_studies(as_summary(before), as_summary(after.chosen(names[:2])), recipe, ("a", "b"))


@pytest.mark.parametrize("bands", [2, 3])
def test_before_and_after_are_of_the_earlier_studys_bands_and_differ_by_the_change(
    recipe: RecognizeRecipe, bands: int
) -> None:
    """Afterwards the nearest are the farthest, which must move nobody between bands."""
    before, after = two_studies()
    turned = replace(after, information=-before.information)
    one, two = as_summary(before, bands=bands), as_summary(turned, bands=5 - bands)
    found = compare_studies(one, two, recipe, ("a", "b"))
    was, became, change = map(float, re.findall(r"(-?\+?\d\.\d+) \(", found.sentences[1]))
    assert became - was == pytest.approx(change, abs=0.0151)
    assert "evaluators far in a:" in found.sentences[1]
    far = found.changes["r.far.asymmetric"]
    expected = Analysis(before, before.answering, before.information, bands, 200, 0)
    assert far.n == len(expected.evaluators("far"))
    assert was == pytest.approx(expected.mean(expected.of_predictor("asymmetric"), "far").value, abs=0.006)
    # The second study's own distances, or its own number of bands, would put others into the far band.
    unmoved = compare_studies(one, as_summary(after, bands=bands), recipe, ("a", "b"))
    assert unmoved.sentences[:2] == found.sentences[:2]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layer": 1}, r"the layer \(2 against 1\)"),
        ({"framing": "user"}, "the framing .'system' against 'user'"),
        ({"mine": "I"}, "claim.mine .'Me' against 'I'"),
        ({"temperature": 0.5}, r"sampling.temperature \(1.0 against 0.5"),
        ({"questions": ["What is rain?"]}, "the questions"),
        ({"personas": {"p2": "Another pirate."}}, "the instructions of p2"),
    ],
)
def test_studies_that_differ_in_more_than_the_model_are_not_compared(
    recipe: RecognizeRecipe, changes: dict[str, Any], named: str
) -> None:
    before, after = two_studies()
    with pytest.raises(DataError, match=named) as caught:
        compare_studies(as_summary(before), as_summary(after, **changes), recipe, ("a", "b"))
    assert str(caught.value).count(" against ") <= 1


def test_a_study_that_does_not_say_what_was_asked_is_not_compared(recipe: RecognizeRecipe) -> None:
    before, after = two_studies()
    silent = as_summary(before)
    del silent["panel"]
    with pytest.raises(DataError, match=r"summary of a does not say.*panel.*run its command again"):
        compare_studies(silent, as_summary(after), recipe, ("a", "b"))


def as_summary(found: Matrices, **changes: Any) -> dict[str, Any]:
    kept = ("surprise", "claims", "information", "activation", "mass")
    texts = {name: f"You are {name}." for name in found.names} | {"Assistant": None}
    return {
        "command": "recognize",
        "schema_version": 1,
        "layer": changes.get("layer", 2),
        "framing": changes.get("framing", "system"),
        "recipe": {
            "claim": {"form": "{text}", "mine": changes.get("mine", "Me"), "other": "Someone"},
            "sampling": {"temperature": changes.get("temperature", 1.0), "top_p": 1.0},
            "bands": changes.get("bands", 3),
        },
        "personas": list(found.names),
        "panel": {
            "personas": texts | changes.get("personas", {}),
            "questions": changes.get("questions", ["What is rain?", "How does bread rise?"]),
        },
        "matrices": {name: getattr(found, name).tolist() for name in kept},
    }


def test_a_persona_without_texts_is_an_error(
    llama: TransformersEngine, recipe: RecognizeRecipe, pack: RolePack, tmp_path: Path
) -> None:
    short = recipe.model_copy(update={"max_questions": 2})
    panel = build_panel(short, pack, supports_system=True)
    with (
        RunDirectory.open(tmp_path, command="recognize", settings={}) as directory,
        pytest.raises(DataError, match="fewer than 3 texts"),
    ):
        run_study(directory, short, llama, panel, progress)


@pytest.mark.parametrize("name", ["standard", "organism"])
def test_the_built_in_recipes_load_with_their_panels(name: str) -> None:
    from personaproof.directions import load_roles

    recipe = load_recipe(RecognizeRecipe, recipe_path(name))
    panel = build_panel(recipe, load_roles(recipe.panel), supports_system=True)
    assert panel.names[0] == "Assistant"
    assert panel.members[0].persona is None
    assert len(panel.members) == 25
    assert len(panel.questions) == 15


def test_a_panel_too_small_or_with_a_second_assistant_is_refused(recipe: RecognizeRecipe, pack: RolePack) -> None:
    small = RolePack(name="s", default=[""], roles=dict(list(pack.roles.items())[:3]), questions=pack.questions)
    with pytest.raises(RecipeError, match="3 roles"):
        build_panel(recipe, small, supports_system=True)
    clash = RolePack(name="c", default=[""], roles={**pack.roles, "assistant": ["You help."]}, questions=["Hi?"])
    with pytest.raises(RecipeError, match="called like the reference"):
        build_panel(recipe, clash, supports_system=True)


def test_the_question_keeps_its_words_and_swaps_only_the_answers() -> None:
    question = ClaimQuestion()
    assert question.ask(' Take {first} "x" ', mine_first=True) == (
        'Who wrote this text? "Take {first} "x"" Answer Me or Someone.'
    )
    assert question.ask("y", mine_first=False) == 'Who wrote this text? "y" Answer Someone or Me.'
    for wrong in ({"form": "Who? {text} {first}"}, {"mine": "Someone"}):
        with pytest.raises(ValidationError):
            ClaimQuestion.model_validate(wrong)
