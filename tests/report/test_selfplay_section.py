"""The section of self-play: its rounds, what they forget, and the sentence that says so."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from personaproof.core import DataError
from personaproof.report import Number, ReportData, build_selfplay
from personaproof.report.page import render_report
from personaproof.stats import NO_DATA, wilson


def rate(successes: int, n: int = 100) -> dict[str, Any]:
    return (wilson(successes, n) if n else NO_DATA).as_json()


def played(*columns: tuple[int, ...], settled: bool = True, reason: str = "settled: found little") -> dict[str, Any]:
    """A summary; elites of round r + 1 succeed columns[r][m] times in a hundred against the model after m rounds."""
    rounds = len(columns)
    return {
        "rounds": [
            {
                "round": number,
                "personas": 20 + number,
                "search_asr": 0.9 / number,
                "calls": 1500,
                "steps": 60,
                "rows": {"persona": 400, "benign": 200},
                "fingerprint": f"model_{number}",
                "check.asr": rate(9 - 3 * number, 300),
                "checks": [rate(1), rate(0), rate(5 - number)],
            }
            for number in range(1, rounds + 1)
        ],
        "matrix": [[rate(column[model]) for column in columns] for model in range(rounds + 1)],
        "stop_reason": reason,
        "settled": settled,
    }


def verdict(summary: dict[str, Any]) -> str:
    section = build_selfplay(summary)
    assert section is not None
    return section.verdict


def test_rounds_and_matrix_stand_in_tables() -> None:
    section = build_selfplay(played((90, 5, 4), (80, 40, 3)))
    assert section is not None
    rounds, matrix = section.tables
    assert rounds.rows[0][:6] == ("1", "90.0 %", "1,500", "21", "persona 400, benign 200", "60")
    assert isinstance(rounds.rows[1][6], Number)
    assert rounds.rows[1][6].estimate.value == pytest.approx(0.01)
    assert str(rounds.rows[1][7]).startswith("1.0 % (0.2 to 5.4); 0.0 %")
    assert matrix.heat
    assert matrix.columns == ("Model", "Elites of round 1", "Elites of round 2")
    assert [row[0] for row in matrix.rows] == ["Untrained", "After round 1", "After round 2"]
    assert [[entry.estimate.value for entry in row[1:] if isinstance(entry, Number)] for row in matrix.rows] == [
        [0.9, 0.8],
        [0.05, 0.4],
        [0.04, 0.03],
    ]
    page = render_report(ReportData("t", (), sections=(section,)))
    assert 'href="#selfplay"' in page
    assert page.count("--share: ") == 6
    assert "script-src &#39;none&#39;" in page


def test_the_sentence_says_whether_it_settled_and_forgets() -> None:
    held = verdict(played((90, 5, 4), (80, 40, 3)))
    assert held.startswith("Settled: the fresh searches after the last round found a confirmed attack success of 1.0 %")
    assert "It does not forget" in held
    # 5 then, 30 now, intervals apart; round 2 is the last and cannot have been forgotten.
    lost = verdict(played((90, 5, 30), (80, 40, 3)))
    assert (
        "It forgets: the last model gives way again to the elites of round 1 (5.0 % (2.2 to 11.2) then, 30.0 %" in lost
    )
    # More, but within chance.
    assert "It does not forget" in verdict(played((90, 5, 9), (80, 40, 3)))
    open_end = verdict(played((90, 5), settled=False, reason="1 rounds are done"))
    assert open_end.startswith("Not settled: 1 rounds are done; the last fresh searches found")
    assert "nothing to forget" in open_end


def test_what_was_not_measured_is_not_judged() -> None:
    summary = played((90, 5, 4), (80, 40, 3))
    summary["matrix"][2][0] = rate(0, 0)
    summary["rounds"][1]["check.asr"] = rate(0, 0)
    summary["rounds"][0]["search_asr"] = None
    told = verdict(summary)
    assert "unknown (no answer could be judged)" in told
    assert "Whether it forgets cannot be told" in told
    section = build_selfplay(summary)
    assert section is not None
    assert section.tables[0].rows[0][1] == "nothing scored"


def test_other_runs_have_no_such_section() -> None:
    assert build_selfplay({"metrics": {}}) is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["rounds"], []),
        (["rounds"], None),
        (["rounds", 0, "round"], 2),
        (["rounds", 0, "rows"], [1]),
        (["rounds", 0, "search_asr"], 90),
        (["rounds", 0, "check.asr"], 0.1),
        (["rounds", 0, "checks"], [0.1]),
        (["matrix"], []),
        (["matrix", 0], []),
        (["matrix", 0, 0, "value"], 3.0),
        (["settled"], "yes"),
    ],
)
def test_an_entry_of_another_form_is_an_error(path: list[Any], value: Any) -> None:
    summary = copy.deepcopy(played((90, 5, 4), (80, 40, 3)))
    inner: Any = summary
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(DataError, match=r"is not of the (summary's )?form|is no rate between 0 and 1"):
        build_selfplay(summary)
