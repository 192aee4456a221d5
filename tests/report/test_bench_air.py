"""The page of `bench air`, from a summary as the bench writes it."""

import pytest

from personaproof.core import DataError
from personaproof.report.bench_air import air_bench_headline, air_bench_sections
from personaproof.report.section import Number


def rate(value: float | None) -> dict:
    return {"value": value, "ci95": None if value is None else [value, value], "n": 0 if value is None else 2}


@pytest.fixture
def summary() -> dict:
    arms, domains = ("untrained", "grpo", "air"), ("safety", "maths")
    rates = ("acc", "acc_group", "acc.anchor", "acc.open")
    course = [{"step": s, "metrics": {"in.acc_group": rate(0.2), "out.acc_group": rate(0.1 * s)}} for s in (0, 2)]
    hacked = [
        {
            "step": step,
            "metrics": {name: rate(value) for name in ("keyword.open", "true.open", "true.harmful", "true.benign")},
        }
        for step, value in ((0, 0.5), (2, None))
    ]
    return {
        "seeds": 2,
        "arms": list(arms),
        "domains": list(domains),
        "metrics": {
            f"{arm}.{split}.{domain}.{name}": rate(0.25 * at)
            for at, arm in enumerate(arms)
            for split in ("in", "out")
            for domain in (*domains, "mean")
            for name in rates
        },
        "courses": {"grpo": [course, course], "air": [course, course]},
        "hacking": {"air": [hacked, hacked]},
    }


def test_every_arm_is_in_every_table_and_courses_have_their_mean(summary: dict) -> None:
    rates, along, hacking = air_bench_sections(summary)
    assert len(rates.tables) == 8
    for table in rates.tables:
        assert table.columns == ("Arm", "safety", "maths", "mean")
        assert [row[0] for row in table.rows] == ["untrained", "grpo", "air"]
    cell = rates.tables[0].rows[2][3]
    assert isinstance(cell, Number)
    assert cell.estimate.value == 0.5
    out = along.plots[1]
    assert sum(series.faint for series in out.series) == 4
    [mean] = [series for series in out.series if series.name == "air" and not series.faint]
    assert [(point.x, point.y) for point in mean.points] == [(0, 0), (2, pytest.approx(0.2))]
    assert len(hacking.plots) == 4
    [true] = [series for series in hacking.plots[1].series if not series.faint]
    assert true.points[1].y is None  # what could not be judged is a gap


def test_the_headline_has_a_sentence_an_arm(summary: dict) -> None:
    headline = air_bench_headline(summary)
    assert "2 seeds" in headline.verdict
    assert [point.split(":")[0] for point in headline.points] == ["untrained", "grpo", "air"]


def test_another_summary_is_refused(summary: dict) -> None:
    del summary["metrics"]["air.out.mean.acc_group"]
    for read in (air_bench_sections, air_bench_headline):
        with pytest.raises(DataError, match="run the same command"):
            read(summary)
