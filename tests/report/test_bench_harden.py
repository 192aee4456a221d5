"""The page of `bench harden`, from a summary as the bench writes it."""

import pytest

from personaproof.bench import COLUMNS
from personaproof.core import DataError
from personaproof.report.bench_harden import harden_bench_headline, harden_bench_sections
from personaproof.report.section import Number


def rate(value: float | None) -> dict:
    return {
        "value": value,
        "ci95": None if value is None else [value - 0.01, value + 0.01],
        "n": 0 if value is None else 2,
    }


def look(step: int, asr: float | None, rta: float, fidelity: float) -> dict:
    return {
        "step": step,
        "persona.asr": 0.5,
        "fresh_search.asr": asr,
        "benign_persona.rta": rta,
        "utility.fidelity": fidelity,
    }


@pytest.fixture
def summary() -> dict:
    names = ("untrained", "sft", "picl+preserve")
    return {
        "seeds": 2,
        "variants": ["sft", "picl+preserve"],
        "columns": list(COLUMNS),
        "metrics": {f"{n}.{m}": rate(0.1 * i + 0.5) for i, n in enumerate(names) for m in COLUMNS},
        "changes": {f"{n}.{m}": rate(-0.25) for n in names for m in COLUMNS},
        "frontier": {
            "sft": [
                [look(0, 0.8, 0.0, 1.0), look(12, 0.2, 0.4, 0.5)],
                [look(0, 0.6, 0.0, 1.0), look(12, 0.0, 0.2, 0.7)],
            ],
            "picl+preserve": [[look(0, 0.8, 0.0, 1.0)], [look(0, None, 0.0, 1.0)]],
        },
    }


def test_tables_hold_every_variant_and_the_frontier_its_mean(summary: dict) -> None:
    end, along = harden_bench_sections(summary)
    left, changed = end.tables
    assert [row[0] for row in left.rows] == ["untrained", "sft", "picl+preserve"]
    assert [row[0] for row in changed.rows] == ["sft", "picl+preserve"]
    cell = left.rows[1][1]
    assert isinstance(cell, Number)
    assert cell.estimate.value == pytest.approx(0.6)
    refusals, fidelity = along.plots
    thick = {series.name: series.points for series in refusals.series if not series.faint}
    assert [(p.x, p.y, p.label) for p in thick["sft"]] == [
        (0.0, pytest.approx(0.7), "0"),
        (pytest.approx(0.3), pytest.approx(0.1), "12"),
    ]
    assert thick["picl+preserve"][0].y is None  # one seed could not be judged, so there is no mean of both
    assert sum(series.faint for series in fidelity.series) == 4
    assert [p.x for s in fidelity.series if s.name == "sft" and not s.faint for p in s.points] == [
        1.0,
        pytest.approx(0.6),
    ]


def test_the_headline_has_a_sentence_a_variant(summary: dict) -> None:
    headline = harden_bench_headline(summary)
    assert "2 variants" in headline.verdict
    assert [point.split(":")[0] for point in headline.points] == ["sft", "picl+preserve"]


def test_a_model_that_fell_apart_is_told(summary: dict) -> None:
    """Its attack success is nothing, since nobody can tell what it says."""
    for name, unjudged in (("untrained", 0.0), ("sft", 0.93), ("picl+preserve", 0.01)):
        summary["metrics"][f"{name}.unjudged.rate"] = rate(unjudged)
    summary["metrics"]["sft.persona.asr"] = {"value": 0.0, "ci95": None, "n": 1}
    sft, ours = harden_bench_headline(summary).points
    assert "93.0 % of its answers could not be judged" in sft
    assert "judged" not in ours
    cell = harden_bench_sections(summary)[0].tables[0].rows[1][1]
    assert isinstance(cell, Number)
    assert "1 of 2 seeds" in cell.detail


def test_another_summary_is_refused(summary: dict) -> None:
    del summary["metrics"]["sft.perplexity"]
    with pytest.raises(DataError, match="run the same command"):
        harden_bench_sections(summary)
