"""The page of `recognize`, from a summary as the study writes it."""

from __future__ import annotations

from typing import Any

import pytest

from personaproof.core import DataError
from personaproof.report.recognition import PREDICTORS, recognition_headline, recognition_sections
from personaproof.report.section import Number

NAMES = ["Assistant", "pirate", "robot", "nurse", "poet"]
BANDS = {"near": ["nurse"], "middle": ["robot"], "far": ["pirate", "poet"]}


def number(value: float | None, n: int = 5) -> dict[str, Any]:
    return {"value": value, "ci95": None if value is None else [value - 0.1, value + 0.1], "n": n if value else 0}


@pytest.fixture
def summary() -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for band in (*BANDS, "all", "any"):
        for at, name in enumerate(PREDICTORS):
            metrics[f"r.{band}.{name}"] = number(0.8 - 0.3 * at) if band != "middle" else number(None)
        metrics |= {f"gain.{band}.asymmetric_over_{other}": number(0.3) for other in ("symmetric", "plain")}
        metrics[f"assistant.rank.{band}"] = number(1.0)
    metrics |= {f"assistant.row.{name}": number(-0.5) for name in ("information", "activation", "ratio")}
    for name in ("claim.own", "claim.others", "assistant.claim.own", "assistant.claim.others", "answer.mass"):
        metrics[name] = number(0.5)
    metrics |= {"assistant.answer.mass": number(0.9), "claim.first_less_second": number(-0.2)}
    return {
        "recipe": {"claim": {"form": 'Who? "{text}" {first} or {second}', "mine": "Me", "other": "Someone"}},
        "layer": 2,
        "personas": NAMES,
        "texts": {"kept": dict.fromkeys(NAMES, 3), "empty": {"robot": 2}, "cut_off": {"poet": 1}},
        "metrics": metrics,
        "evaluators": [
            {
                "name": name,
                "band": None,
                "answers": name != "robot",
                "mass": 0.1 if name == "robot" else 0.9,
                "information": number(at * 2.0, 3),
                "activation": float(at),
                "r": {each: number(None if at == 0 else 0.4) for each in PREDICTORS},
                "assistant_rank": None if at == 0 else 1.0,
            }
            for at, name in enumerate(NAMES)
        ],
        "references": [{"name": name, "over": "far", "r": number(0.9)} for name in NAMES],
        "bands": BANDS,
        "matrices": {
            "claims": [[0.1 * (row == column) + 0.2 for column in range(5)] for row in range(5)],
            "information": [2.0 * at for at in range(5)],
            "activation": [float(at) for at in range(5)],
        },
        "verdict": {"answer": "privileged", "sentence": "It is.", "points": ["r is 0.80."]},
    }


def test_every_evaluator_has_its_row_and_those_that_do_not_answer_are_marked(summary: dict[str, Any]) -> None:
    claims, predictors, references, distances = recognition_sections(summary)
    heat = claims.tables[-1]
    assert heat.heat
    assert heat.columns[2:] == tuple(NAMES)
    assert [row[0] for row in heat.rows] == ["Assistant", "pirate", "robot (does not answer)", "nurse", "poet"]
    cell = heat.rows[1][3]
    assert isinstance(cell, Number)
    assert cell.estimate.value == pytest.approx(0.3)
    assert "2 were empty" in claims.lead
    bands, single = predictors.tables
    assert len(bands.rows) == 5
    undefined = bands.rows[1][1]
    assert isinstance(undefined, Number)
    assert undefined.estimate.value is None
    assert "answers" in undefined.estimate.reason
    assert [row[0] for row in single.rows] == ["pirate", "robot", "nurse", "poet"]
    assert [row[0] for row in references.tables[1].rows] == NAMES
    assert all(plot.drawn == 5 for plot in distances.plots)


def test_a_comparison_is_a_section_and_joins_the_headline(summary: dict[str, Any]) -> None:
    from personaproof.report.recognition import CHANGES

    summary["comparison"] = {
        "with": "runs/before",
        "personas": NAMES[:4],
        "left_out": NAMES[4:],
        "changes": dict.fromkeys(CHANGES, number(-0.4)),
        "sentences": ["It went."],
    }
    section = recognition_sections(summary)[-1]
    assert section.id == "against"
    assert "left out: poet" in section.lead
    assert len(section.tables[0].rows) == len(CHANGES)
    head = recognition_headline(summary)
    assert head.points == ("r is 0.80.", "It went.")
    assert head.tone == "good"


@pytest.mark.parametrize("part", ["metrics", "evaluators", "matrices", "verdict"])
def test_a_summary_of_another_form_is_an_error(summary: dict[str, Any], part: str) -> None:
    del summary[part]
    with pytest.raises(DataError, match="form"):
        recognition_sections(summary) if part != "verdict" else recognition_headline(summary)


def test_a_claim_rate_outside_its_range_is_an_error(summary: dict[str, Any]) -> None:
    summary["matrices"]["claims"][0][0] = 1.5
    with pytest.raises(DataError, match="between 0 and 1"):
        recognition_sections(summary)
