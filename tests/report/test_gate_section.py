"""The page of `gate`, from a summary as the study writes it."""

from __future__ import annotations

from typing import Any

import pytest

from personaproof.core import DataError
from personaproof.report.gate import OUTCOMES, gate_headline, gate_sections
from personaproof.report.section import Number

ARMS = ("persona", "random", "opposite", "off_axis", "along_axis")


def rate(value: float | None) -> dict[str, Any]:
    return {"value": value, "ci95": None if value is None else [value, value], "n": 0 if value is None else 8}


def make_summary(*, refusal: bool = True) -> dict[str, Any]:
    groups = ["unsteered", "steered", "knockout.layer4.persona", "knockout.layer4.random"]
    groups += [f"base.{name}" for name in ("plain", "neutral", "benign", "compliant", "benign_compliant", "opposite")]
    groups += [f"undo.{arm}.{name}" for arm in ("persona", "random") for name in ("compliant", "benign_compliant")]
    groups += [f"dose.{a}.{x}.{c}" for a in ARMS for x in ("x0_5", "x3") for c in ("plain", "neutral", "benign")]
    restored = [f"restore.x2.layer{layer}.{arm}" for layer in (1, 2, 4) for arm in ("refusal", "random")]
    metrics = {f"{group}.{outcome}": rate(0.25) for group in groups for outcome in OUTCOMES}
    if refusal:
        metrics |= {f"{group}.{outcome}": rate(0.5) for group in restored for outcome in (*OUTCOMES, "benign.refused")}
        metrics["restore.x2.early.gap"] = rate(0.1)
        metrics["restore.x2.late.gap"] = rate(0.4)
    metrics["dose.persona.x3.neutral.complied"] = rate(0.75)
    metrics["dose.opposite.x3.neutral.complied"] = rate(None)
    how = (
        {"relaxed": ["KL 1.20 when ablated"], "position": "prompt[-1]", "layer": 4}
        if refusal
        else {"why": "too few requests"}
    )
    return {
        "verdict": {"answer": "gates", "sentence": "It gates.", "reasons": ["because of that"]},
        "place": {"layer": 3, "depth": 5, "dose": 3.0, "position": "decision"},
        "searched": [
            {
                "position": "decision",
                "layer": 3,
                "dose": 3.0,
                "push": 0.5,
                "bypass": 0.4,
                "unreadable": 0.0,
                "random": r,
            }
            for r in (0.1, None)
        ],
        "doses": [{"dose": 0.5, "key": "x0_5", "push": 0.08}, {"dose": 3.0, "key": "x3", "push": 0.5}],
        "arms": list(ARMS),
        "contexts": ["plain", "neutral"],
        "knockout_layers": [4],
        "restore_layers": {"early": [1, 2], "late": [4]} if refusal else None,
        "restore_doses": [{"dose": 2.0, "key": "x2"}],
        "cosines": [
            {"layer": at, "persona_refusal": -0.2 if at else None, "persona_axis": 0.1, "refusal_axis": 0.0}
            for at in range(5)
        ],
        "material": {"persona": {"how": "judged", "counts": {"trait_absent": 3}}, "refusal": how},
        "metrics": metrics,
    }


def test_the_verdict_stands_on_top_with_what_it_rests_on() -> None:
    headline = gate_headline(make_summary())
    assert (headline.verdict, headline.tone, headline.points) == ("It gates.", "bad", ("because of that",))


def test_every_condition_is_in_a_table_and_doses_begin_at_none() -> None:
    doses, undo, downstream, cosines, places = gate_sections(make_summary())
    harmful, benign = doses.tables
    assert len(harmful.rows) == 2 + 2 * len(ARMS)
    assert len(benign.rows) == 1 + len(ARMS)
    [row] = [r for r in harmful.rows if r[:2] == ("Neutral roles in the prompt", "compliant persona")]
    assert isinstance(row[3], Number)
    assert row[3].estimate.value == 0.75
    persona = doses.plots[1].series[0]
    assert [(p.x, p.y) for p in persona.points] == [(0, 0.25), (0.5, 0.25), (3, 0.75)]
    opposite = doses.plots[1].series[2]
    assert opposite.points[-1].y is None  # not judged is a gap
    assert [len(table.rows) for table in undo.tables] == [4, 3]
    knockout, restored = downstream.tables
    assert len(knockout.rows) == 4
    assert len(restored.rows) == 6
    assert "early +10.0 points, late +40.0 points" in restored.caption
    assert "KL 1.20" in downstream.lead
    assert cosines.plots[0].series[0].points[0].y is None
    assert [row[5] for row in places.tables[0].rows] == ["10.0 %", "not needed"]


def test_without_a_refusal_direction_the_page_says_why() -> None:
    downstream = gate_sections(make_summary(refusal=False))[2]
    assert len(downstream.tables) == 1
    assert not downstream.plots
    assert "too few requests" in downstream.lead


@pytest.mark.parametrize("missing", ["place", "metrics", "doses", "material"])
def test_another_summary_is_refused(missing: str) -> None:
    summary = make_summary()
    del summary[missing]
    with pytest.raises(DataError, match="run the same command again"):
        gate_sections(summary)


def test_a_verdict_of_no_known_kind_is_refused() -> None:
    summary = make_summary()
    summary["verdict"]["answer"] = "perhaps"
    with pytest.raises(DataError, match="run the same command again"):
        gate_headline(summary)


def test_a_comparison_comes_first_with_its_sentence_and_signed_changes() -> None:
    summary = make_summary()
    changes = {"effect.push.plain": {"value": -0.5, "ci95": [-0.7, -0.3], "n": 10}, "base.plain.refused": rate(0.1)}
    summary["against"] = {
        "with": "runs/before",
        "hold": "looser",
        "sentence": "The hold got looser.",
        "reasons": ["pushed: less"],
        "changes": changes,
        "left_out": ["restore.x2.late.gap"],
    }
    assert gate_headline(summary).points[-1] == "The hold got looser."
    first = gate_sections(summary)[0]
    assert (first.id, first.verdict) == ("gate-against", "The hold got looser.")
    assert "runs/before" in first.lead
    assert "restore.x2.late.gap" in first.lead
    [effect, base] = first.tables[1].rows
    assert isinstance(effect[1], Number)
    assert (effect[1].signed, effect[1].estimate.value) == (True, -0.5)
    assert "beyond random directions" in str(effect[0])
    assert base[0] == "base.plain.refused"
    del summary["against"]["changes"]
    with pytest.raises(DataError):
        gate_sections(summary)
