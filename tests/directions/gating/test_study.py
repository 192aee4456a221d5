"""The whole study on a model whose gate is known: found, measured as computed by hand, and resumed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from personaproof.core import DataError, Exchange, ModelError, StoreError
from personaproof.directions import PROMPT_LAST, TraitPack, TraitRating, passages, record, save_direction
from personaproof.directions.gating import (
    Cell,
    GateVerdict,
    Kept,
    Material,
    Outcome,
    Thresholds,
    gate_summary,
    judge_gate,
    planned_answers,
)
from personaproof.directions.gating.reading import dose_key, evidence
from personaproof.directions.gating.study import dose_cell, undo_cell
from personaproof.directions.gating.summary import sentence


def test_a_planted_gate_is_found_with_the_dose_response_of_the_closed_form(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    b = bench()
    material = b.material()
    assert material.about["persona"]["how"] == "judged"
    steps: list[tuple[int, int]] = []
    result = b.run(tmp_path, material, lambda done, total: steps.append((done, total)))
    place = result.place
    assert place.layer == 1
    assert place.gap is not None
    assert place.gap > 0.6
    # By hand: blocks 1 and 2 write nothing, so the head reads what was read at the last layer plus the dose.
    model, vector = b.engine.model, material.vector(place.position, place.layer)
    head = model.lm_head.weight.double()
    questions = b.plan.push.items
    stream = record(b.engine, passages(b.engine, [(q.conversation, None) for q in questions]), [PROMPT_LAST], [2])
    refuse, comply = (b.engine.tokenizer(sign, add_special_tokens=False)["input_ids"][0] for sign in "%&")
    for dose in b.recipe.doses:
        logits = (stream[:, 0, 0].double() + dose * vector) @ head.T
        expected = logits[:, comply] > logits[:, refuse]
        answers = result.cells[dose_cell("persona", dose)].outcomes
        done = [Outcome.COMPLIED if q.request.harmful else Outcome.HARMLESS for q in questions]
        assert [outcome is answered for outcome, answered in zip(answers, done, strict=True)] == expected.tolist()
    summary = gate_summary(result, b.engine, b.judge)
    assert summary["verdict"]["answer"] == "gates"
    assert summary["verdict"]["strength"] == "strong"
    assert "layer 1 of 3" in summary["verdict"]["sentence"]
    # This model does nothing but refuse or comply.
    assert summary["verdict"]["moves_refusal"] == summary["verdict"]["carried"]
    assert "takes refusal away" in summary["verdict"]["sentence"]
    metrics = summary["metrics"]
    assert metrics["restore.x2.layer2.refusal.refused"]["value"] > metrics["steered.refused"]["value"]
    chosen = dose_key(place.dose)
    assert metrics[f"dose.opposite.{chosen}.plain.complied"]["value"] == 0
    # The model is only so wide, so a random direction holds some of the planted one.
    random, persona = (metrics[f"dose.{arm}.{chosen}.plain.complied"]["value"] for arm in ("random", "persona"))
    assert random < persona / 2
    assert all(set(entry) == {"value", "ci95", "n"} for entry in metrics.values())
    json.dumps(summary, allow_nan=False)
    assert steps[-1] == (planned_answers(b.recipe, b.plan, material, 3),) * 2
    assert all(done <= total for done, total in steps)


def test_every_cell_of_a_contrast_is_looked_at(bench: Callable[..., Any], tmp_path: Path) -> None:
    """On the cells of a real study, one of which after the other is made unreadable."""
    b = bench(small=True)
    result = b.run(tmp_path, b.material())
    questions = {"push": b.plan.push, "undo": b.plan.instructed}
    dose = result.place.dose
    answers = {
        **{dose_cell(arm, dose): ("push", Outcome.REFUSED) for arm in result.randoms},
        dose_cell("persona", dose): ("push", Outcome.COMPLIED),
        "base/push": ("push", Outcome.REFUSED),
        **{undo_cell(arm): ("undo", Outcome.COMPLIED) for arm in result.randoms},
        undo_cell("persona"): ("undo", Outcome.REFUSED),
        "base/instructed": ("undo", Outcome.COMPLIED),
    }

    def told(**changed: Outcome) -> GateVerdict:
        cells = {
            name: Cell(questions[of].id, (changed.get(name, outcome),) * len(questions[of]))
            for name, (of, outcome) in answers.items()
        }
        return judge_gate(evidence(replace(result, cells={**result.cells, **cells})), Thresholds())

    assert set(told().carried) == {"push.plain", "push.neutral", "undo"}
    for name, (of, _) in answers.items():
        for outcome in (Outcome.DEGENERATE, Outcome.UNJUDGED, Outcome.HARM_UNKNOWN):
            carried = told(**{name: outcome}).carried
            assert ("undo" in carried) is (of == "push")
            assert ("push.plain" in carried) is (of == "undo")
    # The persona does what it did, and nothing of it is its doing.
    assert told(**{"base/push": Outcome.COMPLIED}).carried == ("undo",)
    assert told(**{"base/instructed": Outcome.REFUSED}).carried == ("push.plain", "push.neutral")
    assert told().moves_refusal == told().carried
    # Answers that comply and were harmless before: compliance moves, and refusal does not.
    harmless = told(**{name: Outcome.HARMLESS for name, (of, did) in answers.items() if did is Outcome.REFUSED})
    assert set(harmless.carried) == {"push.plain", "push.neutral", "undo"}
    assert harmless.moves_refusal == ()
    said = sentence(harmless, result)
    assert "it raises compliance" in said
    assert "it lowers compliance" in said
    assert "takes refusal away" not in said
    assert "takes refusal away; subtracted under compliant instructions, it brings refusal back" in sentence(
        told(), result
    )


def test_a_model_that_always_refuses_has_no_gate_and_says_how_it_was_looked_for(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    b = bench(reads_direction=False)
    said: list[str] = []
    material = b.material(say=said.append)
    # No answer shows the trait, so the contrast is that of the instructions; and no refusal direction can be found.
    assert material.about["persona"]["how"] == "instructed"
    assert "trait_absent" in material.about["persona"]["why"]
    assert any("whatever was answered" in text for text in said)
    assert material.about["refusal"]["how"] == "not found"
    summary = gate_summary(b.run(tmp_path, material), b.engine, b.judge)
    assert summary["verdict"]["answer"] == "no gating"
    assert summary["restore_layers"] is None
    assert not any(name.startswith("restore") for name in summary["metrics"])


def test_an_interrupted_study_goes_on_where_it_stopped_and_ends_the_same(
    bench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench(small=True)
    material = b.material()
    whole = gate_summary(b.run(tmp_path / "whole", material), b.engine, b.judge)

    def stop(done: int, total: int) -> None:
        if done > total / 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        b.run(tmp_path / "parts", material, stop)
    kept = len(list((tmp_path / "parts/cells").rglob("*.json")))
    assert kept > 5
    batches = 0
    generate = b.engine.generate_batch

    def counted(jobs: Any) -> Any:
        nonlocal batches
        batches += 1
        return generate(jobs)

    monkeypatch.setattr(b.engine, "generate_batch", counted)
    assert gate_summary(b.run(tmp_path / "parts", material), b.engine, b.judge) == whole
    cells = len(list((tmp_path / "parts/cells").rglob("*.json")))
    per_cell = max(1, len(b.plan.push) // b.engine.batch_size)
    assert 0 < batches < (cells - kept + 1) * (per_cell + 2)
    batches = 0
    assert gate_summary(b.run(tmp_path / "parts", material), b.engine, b.judge) == whole
    assert batches == 0


def test_the_search_and_the_report_share_no_intent(bench: Callable[..., Any]) -> None:
    plan = bench().plan
    searched = {q.request.intent for q in plan.search.items} | {
        r.intent for r in (*plan.refusal_harmful, *plan.refusal_benign)
    }
    reported = {q.request.intent for questions in (plan.push, plan.instructed, plan.told) for q in questions.items}
    assert searched
    assert not searched & reported


def test_material_comes_back_from_disk_as_it_was(bench: Callable[..., Any], tmp_path: Path) -> None:
    material, kept = bench().material(), Kept(tmp_path)
    assert kept.read_tensors("directions") is None
    kept.write_tensors("directions", material.tensors(), material.about)
    found = kept.read_tensors("directions")
    assert found is not None
    again = Material.of(*found)
    assert again.about == material.about
    assert again.positions == material.positions
    for name, tensor in material.tensors().items():
        assert torch.equal(again.tensors()[name], tensor)
    (tmp_path / "directions.safetensors").write_bytes(b"x")
    with pytest.raises(StoreError, match="remove it"):
        kept.read_tensors("directions")


def test_kept_answers_of_other_questions_are_refused(bench: Callable[..., Any], tmp_path: Path) -> None:
    b = bench(small=True)
    material = b.material()
    name = "cells/base/push"
    Kept(tmp_path).write(name, {"questions": "other", "outcomes": ["refused"]})
    with pytest.raises(StoreError, match="other questions"):
        b.run(tmp_path, material)
    Kept(tmp_path).write(name, {"questions": b.plan.push.id, "outcomes": ["blue"]})
    with pytest.raises(DataError, match="cannot be read"):
        b.run(tmp_path, material)


@dataclass(frozen=True)
class Rater:
    """Gives every answer the same rating."""

    rating: TraitRating
    id: str = "rater"

    def rate(self, trait: TraitPack, exchanges: Sequence[Exchange]) -> list[TraitRating]:
        return [self.rating] * len(exchanges)


def test_a_rater_that_fails_is_an_error_and_no_absent_trait(bench: Callable[..., Any]) -> None:
    b = bench(small=True)
    with pytest.raises(DataError, match="could not rate 100%"):
        b.material(rater=Rater(TraitRating(None, None)))
    with pytest.raises(DataError, match="'incoherent': 40"):
        b.material(rater=Rater(TraitRating(100.0, 0.0)))
    assert b.material(rater=Rater(TraitRating(0.0, 100.0))).about["persona"]["how"] == "instructed"


def test_every_direction_is_read_under_the_framing_chosen(
    bench: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    b = bench(small=True)
    rendered: list[str] = []
    generate = b.engine.generate_batch

    def watched(jobs: Any) -> Any:
        rendered.extend(message.role for job in jobs for message in job.conversation.messages)
        return generate(jobs)

    monkeypatch.setattr(b.engine, "generate_batch", watched)
    absent = Rater(TraitRating(0.0, 100.0))
    judged, instructed = (b.material(rater=rater, framing="user") for rater in (None, absent))
    assert [each.about["persona"]["how"] for each in (judged, instructed)] == ["judged", "instructed"]
    assert "system" not in rendered
    for here, there in ((judged, b.material()), (instructed, b.material(rater=absent))):
        for part in ("persona", "axis"):
            assert here.about[part]["data"] != there.about[part]["data"]
    assert "system" in rendered


@pytest.mark.parametrize("answer", ["gates", "no gating", "cannot tell"])
def test_every_verdict_says_that_the_vector_is_that_of_the_instructions(answer: Any) -> None:
    verdict = GateVerdict(answer, "", (), (), {}, ())
    about = {"persona": {"how": "instructed"}}
    result = SimpleNamespace(
        place=SimpleNamespace(layer=1, position="p", dose=2.0), depth=3, material=SimpleNamespace(about=about)
    )
    assert "that between the instructions" in sentence(verdict, result)  # type: ignore[arg-type]
    about["persona"]["how"] = "judged"
    assert "that between the instructions" not in sentence(verdict, result)  # type: ignore[arg-type]


def test_kept_answers_under_other_vectors_are_refused(bench: Callable[..., Any], tmp_path: Path) -> None:
    """Also where the questions are the same, as when the directions were made anew."""
    b = bench(small=True)
    given = b.material().direction("prompt[-1]", 1)

    def run(vector: torch.Tensor) -> Any:
        return b.run(tmp_path, b.material(replace(given, vector=vector)))

    whole = run(given.vector)
    assert run(given.vector).cells == whole.cells
    with pytest.raises(StoreError, match="another vector, dose or layer"):
        run(given.vector * 1.001)
    path = tmp_path / f"cells/{dose_cell('persona', 1.0)}.json"
    content = json.loads(path.read_text())
    [[_, _, dose, _]] = content["interventions"]
    assert dose == 1.0
    content["interventions"][0][2] = 2.0
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="another vector, dose or layer"):
        run(given.vector)


def test_a_direction_of_another_model_can_be_studied(bench: Callable[..., Any], tmp_path: Path) -> None:
    """The gate of the open model, looked for in one that always refuses."""
    opened, closed = bench(), bench(reads_direction=False)
    material = opened.material()
    given = material.direction("prompt[-1]", 1)
    result = closed.run(tmp_path, closed.material(given))
    assert (result.place.position, result.place.layer) == ("prompt[-1]", 1)
    assert gate_summary(result, closed.engine, closed.judge)["verdict"]["answer"] == "no gating"


def test_a_direction_given_is_saved_as_it_was(bench: Callable[..., Any], tmp_path: Path) -> None:
    """With the model it came from, which is not the one studied."""
    opened, closed = bench(small=True), bench(reads_direction=False, small=True)
    made = opened.material().direction("prompt[-1]", 1)
    given = replace(made, model="before", data="data_before", activation_norm=made.activation_norm / 3)
    again = closed.material(given).direction("prompt[-1]", 1)
    assert again.fingerprint == opened.engine.fingerprint != closed.engine.fingerprint
    one, other = (save_direction(each, tmp_path / name) for name, each in (("one", given), ("other", again)))
    assert one.read_bytes() == other.read_bytes()
    assert one.with_suffix(".json").read_text() == other.with_suffix(".json").read_text()
    with pytest.raises(DataError, match="make it anew"):
        closed.material(replace(given, activation_norm=0.0))


def test_a_direction_is_known_by_its_vector(bench: Callable[..., Any]) -> None:
    given = bench(small=True).material().direction("prompt[-1]", 1)
    turned = given.vector.clone()
    turned[0] += 1e-3
    assert replace(given, vector=turned).id != given.id
    assert replace(given, vector=given.vector.clone()).id == given.id
    assert replace(given, layer=0).id != given.id


def test_the_data_of_an_instructed_vector_tell_how_far_it_was_lengthened(bench: Callable[..., Any]) -> None:
    b = bench(small=True)
    absent = Rater(TraitRating(0.0, 100.0))
    longer = replace(b, recipe=b.recipe.model_copy(update={"instructed_push": 0.9}))
    one, other = (each.material(rater=absent).about["persona"] for each in (b, longer))
    assert one["data"] != other["data"]


def test_a_harmless_trait_pack_needs_a_rater(bench: Callable[..., Any]) -> None:
    from personaproof.core import Sampling, resolve_framing
    from personaproof.directions.gating import make_material

    b = bench()
    with pytest.raises(ModelError, match="--trait-model"):
        make_material(
            b.engine,
            b.trait,
            b.roles,
            resolve_framing("auto", True),
            judge=b.judge,
            trait_judge=None,
            manner_judge=None,
            harmful=b.harmful,
            benign=b.benign,
            sampling=Sampling(),
            seed=0,
            least_unit=0.1,
            most_unjudged=0.2,
        )
