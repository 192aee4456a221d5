"""The page of `bench search`, from the summary as the bench itself makes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from personaproof.bench import SearchBench, SearchBenchRecipe
from personaproof.bench.search import Course
from personaproof.core import DataError
from personaproof.report import Number, Section, run_report, search_bench_headline, search_bench_sections
from personaproof.report.page import render_report
from personaproof.store import RunDirectory


def course(calls: int | None, spent: int) -> Course:
    at = {0.8: calls} if calls else {}
    return Course(
        dict(at),
        dict.fromkeys(at, 0.4),
        dict.fromkeys(at, 0.1),
        {1000: (0.9, 0.7)},
        spent,
        [(500, 0.6, 0.5), (500, 0.6, 0.5), (1000, 0.9, 0.7)],
    )


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    strategies = {name: {"strategy": name} for name in ("ple", "thompson", "random")}
    recipe = SearchBenchRecipe.model_validate({"levels": [0.8], "budgets": [1000, 9000], "strategies": strategies})
    courses = {
        "ple": [course(1000, 1000), course(None, 5000)],
        "thompson": [course(100, 100), course(200, 200)],
        "random": [course(None, 900), course(None, 900)],
    }
    return dict(json.loads(json.dumps(SearchBench(recipe, courses).summary())))


def rows(section: Section, table: int = 0) -> dict[str, tuple[Any, ...]]:
    return {str(row[0]): row[1:] for row in section.tables[table].rows}


def test_costs_say_who_reached_the_level_and_what_bounds_the_ratio(summary: dict[str, Any]) -> None:
    costs = rows(search_bench_sections(summary)[0])
    level, reached, calls, ratio, bound = costs["thompson"]
    assert (level, reached, bound) == ("80.0 %", "2 of 2", "at most 0.06325")
    assert calls.estimate.value == 150
    assert (ratio.estimate.value, ratio.estimate.n) == (pytest.approx(0.1), 1)
    assert ratio.detail == "reached by thompson in 2, by ple in 1 of 2 seeds"
    assert costs["ple"][1:] == ("1 of 2", Number(calls.estimate.__class__(1000.0, None, 1)), "1 (the reference)", "")
    never = costs["random"]
    assert never[2].estimate.reason == "no seed reached it"
    assert never[3].estimate.reason == "in no seed both reached it"
    assert never[4] == "none: both fell short in some"


def test_equal_calls_equal_asr_and_the_winner_s_curse(summary: dict[str, Any]) -> None:
    _, calls, asr = search_bench_sections(summary)
    assert rows(calls)["thompson"][0].estimate.value == pytest.approx(0.7)
    assert rows(calls)["thompson"][1].estimate.reason == "no seed was compared at it"
    gap = rows(calls, 1)["thompson"][0]
    assert gap.signed
    assert gap.estimate.value == pytest.approx(0.2)
    assert rows(asr)["thompson"][1].estimate.value == pytest.approx(0.4)
    assert rows(asr)["thompson"][3].estimate.value == pytest.approx(0.1)


def test_curves_have_a_thin_line_a_seed_and_the_mean(summary: dict[str, Any]) -> None:
    (plot,) = search_bench_sections(summary)[0].plots
    ours = [series for series in plot.series if series.name == "thompson"]
    assert [series.faint for series in ours] == [True, True, False]
    # A state confirmed twice is one point.
    assert [(point.x, point.y) for point in ours[0].points] == [(500, 0.5), (1000, 0.7)]
    assert [(point.x, point.y) for point in ours[2].points] == [(1000, pytest.approx(0.7)), (9000, None)]
    assert ours[2].points[0].y_ci95 is not None


def test_the_headline_is_of_the_first_that_is_not_the_reference(summary: dict[str, Any]) -> None:
    headline = search_bench_headline(summary)
    assert headline.verdict == "thompson against ple, over 2 seeds"
    assert headline.points == (
        "Confirmed attack success of 80.0 %: 0.1 times the calls of ple (no interval); reached by thompson in 2, by "
        "ple in 1 of 2 seeds; over all seeds at most 0.06325 times.",
    )


def test_a_bench_run_has_its_report(summary: dict[str, Any], tmp_path: Path) -> None:
    with RunDirectory.open(tmp_path / "run", command="bench search", settings={"model": "m"}) as run:
        run.write_summary(summary)
        data = run_report(run)
    assert data.title == "Search strategies side by side"
    page = render_report(data)
    for anchor in ("bench-costs", "bench-equal-calls", "bench-equal-asr", "manifest"):
        assert f'href="#{anchor}"' in page


def test_without_budgets_there_is_nothing_at_equal_calls(summary: dict[str, Any]) -> None:
    costs, calls, _ = search_bench_sections({**summary, "budgets": []})
    assert calls.tables == ()
    assert "asked for no budgets" in calls.lead
    assert all(series.faint for series in costs.plots[0].series if series.points)


@pytest.mark.parametrize("missing", ["strategies", "levels", "budgets", "reference", "metrics", "ratios", "curves"])
def test_a_summary_of_another_form_says_what_to_do(summary: dict[str, Any], missing: str) -> None:
    older = {key: value for key, value in summary.items() if key != missing}
    with pytest.raises(DataError, match="run the same command again"):
        search_bench_sections(older)
    if missing in ("strategies", "reference", "ratios"):
        with pytest.raises(DataError, match="run the same command again"):
            search_bench_headline(older)
