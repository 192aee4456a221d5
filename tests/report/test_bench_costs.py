"""The pages of the benches that measure cost, from summaries as the benches write them."""

from __future__ import annotations

from typing import Any

import pytest

from personaproof.bench.directions import DirectionsBench, DirectionsBenchRecipe
from personaproof.bench.loss import LossBench, LossBenchRecipe
from personaproof.bench.loss_case import LossCost
from personaproof.core import DataError
from personaproof.report.bench_costs import (
    directions_bench_headline,
    directions_bench_sections,
    loss_bench_headline,
    loss_bench_sections,
)
from personaproof.report.section import Number


@pytest.fixture
def loss() -> dict[str, Any]:
    def cost(seconds: float, megabytes: float) -> LossCost:
        return LossCost(seconds, megabytes, 1.0, 1.0, 1.0, "cpu", "bfloat16", 2)

    costs = {"joint": [cost(1, 60)] * 2, "dense": [cost(5, 500)] * 2, "dpo+teacher": [cost(0.5, 60)] * 2}
    return LossBench(LossBenchRecipe(vocabularies=(32_768,), repeats=2), {32_768: costs}).summary()


@pytest.fixture
def directions() -> dict[str, Any]:
    seconds = {"surprise": [(1.0, 8.0)], "activations": [(1.0, 3.0)]}
    apart = {"surprise": 0.01, "activations": 0.001}
    return DirectionsBench(
        DirectionsBenchRecipe(personas=5, repeats=1), 20, 40.0, 12.0, seconds, apart, "float32", "cpu", 1
    ).summary()


def test_the_loss_is_read_against_its_goals(loss: dict[str, Any]) -> None:
    headline = loss_bench_headline(loss)
    assert (headline.verdict, headline.tone) == ("The joint loss: 1 of 3 goals met", "mixed")
    # A fifth of the time is under a quarter; 60 of 500 MiB is over a tenth; twice DPO is over 1.3 times.
    assert ["missed" in point for point in headline.points] == [False, True, True]
    [section] = loss_bench_sections(loss)
    ours, dense, dpo = section.tables[0].rows
    assert (ours[3], ours[5]) == ("1", "1")
    assert isinstance(dense[3], Number)
    assert dense[3].estimate.value == pytest.approx(0.2)
    assert isinstance(dpo[5], Number)
    assert dpo[5].detail == ""


def test_either_way_of_looking_inside_has_its_row(directions: dict[str, Any]) -> None:
    headline = directions_bench_headline(directions)
    assert headline.verdict == "Shared prefixes: 1 of 2 goals met"
    assert ["8 times" in point for point in headline.points] == [True, False]
    [section] = directions_bench_sections(directions)
    assert [row[0] for row in section.tables[0].rows] == ["surprise matrix", "activations"]


def test_a_summary_of_another_form_is_refused(loss: dict[str, Any], directions: dict[str, Any]) -> None:
    for summary, read in (
        (loss, (loss_bench_headline, loss_bench_sections)),
        (directions, (directions_bench_headline, directions_bench_sections)),
    ):
        summary["ratios"] = {}
        for one in read:
            with pytest.raises(DataError, match="run the same command"):
                one(summary)
