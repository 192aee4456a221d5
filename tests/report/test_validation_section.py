"""The section that tells what a training did to the model while it lasted."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from personaproof.core import DataError
from personaproof.harden.validation import ValidationPoint
from personaproof.report import Number, ReportData, build_validation
from personaproof.report.page import render_report
from personaproof.stats import Estimate, wilson
from personaproof.stats.estimate import NO_DATA


def looks() -> list[dict[str, Any]]:
    """As a training writes them: the two rooms must agree on their form."""
    points = []
    for step, asr, rta in ((0, 180, 2), (15, 60, 4), (30, 3, 6)):
        metrics = {
            "persona.asr": wilson(asr, 200),
            "benign_persona.rta": wilson(rta, 200) if step != 15 else NO_DATA,
            "direct.asr": wilson(0, 24),
            "unjudged.rate": wilson(1, 400),
            # No rate: it may be negative, and is not shown.
            "invariance_gap": Estimate(-0.1, -0.2, 0.0, 200),
        }
        points.append(ValidationPoint(step, {name: each.as_json() for name, each in metrics.items()}).as_json())
    return points


def test_curves_and_frontier_keep_their_gaps() -> None:
    section = build_validation(looks())
    assert section is not None
    curves, front = section.plots
    attack, cost = curves.series
    assert (attack.name, cost.name) == ("Persona attack success", "Over-refusal under personas")
    assert [(point.x, point.y) for point in attack.points] == [(0, 0.9), (15, 0.3), (30, 0.015)]
    assert all(point.y_ci95 and point.y_ci95[0] <= point.y <= point.y_ci95[1] for point in attack.points)  # type: ignore[operator]
    assert [point.y for point in cost.points] == [0.01, None, 0.03]
    assert curves.band
    assert not front.band
    (line,) = front.series
    assert [(point.label, point.x, point.y) for point in line.points] == [
        ("step 0", 0.01, 0.9),
        ("step 15", None, 0.3),
        ("step 30", 0.03, 0.015),
    ]
    assert line.points[0].x_ci95 == tuple(looks()[0]["metrics"]["benign_persona.rta"]["ci95"])
    assert front.drawn == 2


def test_the_table_has_every_look() -> None:
    section = build_validation(looks())
    assert section is not None
    (table,) = section.tables
    assert table.columns == ("Step", "Persona attack success", "Over-refusal under personas", "Direct attack success")
    assert [row[0] for row in table.rows] == ["0", "15", "30"]
    unmeasured = table.rows[1][2]
    assert isinstance(unmeasured, Number)
    assert unmeasured.estimate.reason == "no answer could be judged"
    page = render_report(ReportData("t", (), sections=(section,)))
    assert 'href="#validation"' in page
    assert page.split("<script")[0].count("data-figure") == 2


def test_a_metric_that_a_look_lacks_is_a_gap_and_says_so() -> None:
    points = looks()
    del points[2]["metrics"]["persona.asr"]
    section = build_validation(points)
    assert section is not None
    assert section.plots[0].series[0].points[2].y is None
    missing = section.tables[0].rows[2][1]
    assert isinstance(missing, Number)
    assert missing.estimate.reason == "not asked at this step"


def test_no_looks_no_section() -> None:
    assert build_validation([]) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ([0, "step"], 15),
        ([0, "step"], -1),
        ([0, "step"], "0"),
        ([0, "step"], True),
        ([0], None),
        ([0, "metrics"], [1]),
        ([0, "metrics", "persona.asr"], 0.9),
        ([0, "metrics", "persona.asr", "value"], 90.0),
        ([0, "metrics", "persona.asr", "ci95"], [0.95, 0.1]),
    ],
)
def test_a_look_of_another_form_is_an_error(path: list[Any], value: Any) -> None:
    points = copy.deepcopy(looks())
    inner: Any = points
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(DataError, match=r"is not of the (summary's )?form|is no rate between 0 and 1"):
        build_validation(points)
