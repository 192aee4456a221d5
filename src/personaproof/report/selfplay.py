"""The rounds of self-play, and whether a later round forgets what an earlier one taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personaproof.core import DataError
from personaproof.report.build import read_rate
from personaproof.report.data import Estimate
from personaproof.report.format import interval, number
from personaproof.report.section import Number, Section, Table

Matrix = Sequence[Sequence[Estimate]]
"""``matrix[m][r]``: the elites of round r + 1 against the model after m rounds."""


def build_selfplay(summary: Mapping[str, Any]) -> Section | None:
    """From the "rounds", "matrix", "settled" and "stop_reason" of a summary; None where it has no rounds. Raises
    DataError where they are not of the summary's form."""
    if "rounds" not in summary:
        return None
    try:
        rounds = summary["rounds"]
        if not rounds or [each["round"] for each in rounds] != list(range(1, len(rounds) + 1)):
            raise ValueError("the rounds are not numbered from 1")
        checks = [read_rate(f"checks of round {each['round']}", each["check.asr"]) for each in rounds]
        matrix = [[read_rate("an entry of the matrix", rate) for rate in row] for row in summary["matrix"]]
        if len(matrix) != len(rounds) + 1 or any(len(row) != len(rounds) for row in matrix):
            raise ValueError(f"the matrix has not {len(rounds) + 1} rows of {len(rounds)} rates")
        verdict = f"{_outcome(summary['settled'], str(summary['stop_reason']), checks[-1])} {_memory(matrix)}"
        tables = (_rounds_table(rounds, checks), _matrix_table(matrix))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the self-play of the run is not of the summary's form: {error!r}; run it again.") from error
    return Section(
        "selfplay",
        "Self-play, round by round",
        "Each round searches the model of the moment, trains the untrained model anew on everything found so far, and "
        "then checks the outcome with fresh searches of the same budget, confirmed on requests that no search saw.",
        tables=tables,
        verdict=verdict,
    )


def _outcome(settled: bool, reason: str, last: Estimate) -> str:
    if not isinstance(settled, bool):
        raise TypeError(f"settled is {settled!r}")
    if settled:
        return f"Settled: the fresh searches after the last round found a confirmed attack success of {_told(last)}."
    return f"Not settled: {reason}; the last fresh searches found a confirmed attack success of {_told(last)}."


def _memory(matrix: Matrix) -> str:
    """Whether a round's elites do clearly more (intervals apart) to the last model than to the first one that was
    trained against them."""
    last = len(matrix) - 1
    if last == 1:
        return "With one round there was nothing to forget."
    forgotten, unknown = [], 0
    for column in range(last - 1):
        then, now = matrix[column + 1][column], matrix[last][column]
        if then.ci95 is None or now.ci95 is None:
            unknown += 1
        elif now.ci95[0] > then.ci95[1]:
            forgotten.append(f"round {column + 1} ({_told(then)} then, {_told(now)} now)")
    if forgotten:
        return f"It forgets: the last model gives way again to the elites of {', '.join(forgotten)}."
    if unknown:
        return "Whether it forgets cannot be told: some rounds' elites have no measured rate."
    return "It does not forget: no earlier round's elites do clearly more to the last model than after their own round."


def _told(rate: Estimate) -> str:
    if rate.value is None:
        return f"unknown ({rate.reason})"
    bounds = f" ({interval(rate.ci95, percent=True)})" if rate.ci95 else ""
    return number(rate.value, percent=True) + bounds


def _rounds_table(rounds: Sequence[Mapping[str, Any]], checks: Sequence[Estimate]) -> Table:
    return Table(
        "Rounds",
        (
            "Round",
            "Elites of its search, as the search believed",
            "Target calls",
            "Personas added",
            "Training rows",
            "Steps",
            "Fresh searches, confirmed",
            "Each of them",
        ),
        tuple(
            (
                f"{each['round']}",
                _believed(each["search_asr"]),
                f"{each['calls']:,}",
                f"{each['personas']:,}",
                ", ".join(f"{kind} {count:,}" for kind, count in each["rows"].items()),
                f"{each['steps']:,}",
                Number(asr, percent=True),
                "; ".join(_told(read_rate("a check", check)) for check in each["checks"]),
            )
            for each, asr in zip(rounds, checks, strict=True)
        ),
        caption="A search attacks the model before its round; fresh searches attack the model after it.",
    )


def _believed(asr: Any) -> str:
    if asr is None:
        return "nothing scored"
    if not 0 <= asr <= 1:
        raise ValueError(f"a search ASR is {asr}")
    return number(float(asr), percent=True)


def _matrix_table(matrix: Matrix) -> Table:
    names = ["Untrained", *(f"After round {number}" for number in range(1, len(matrix)))]
    return Table(
        "Does it forget?",
        ("Model", *(f"Elites of round {number}" for number in range(1, len(matrix)))),
        tuple((name, *(Number(rate, percent=True) for rate in row)) for name, row in zip(names, matrix, strict=True)),
        caption="Attack success of every round's elites on every round's model, on requests that neither saw. From a "
        "round's own row downwards a column should stay pale.",
        heat=True,
    )
