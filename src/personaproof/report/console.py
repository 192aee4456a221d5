"""The report's tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from personaproof.report.data import Estimate, MetricRow
from personaproof.report.document import ComparisonData
from personaproof.report.format import NOT_MEASURED, interval, number, p_value, printable
from personaproof.report.labels import change

_STYLE = {"better": "green", "worse": "red", "changed": "yellow"}


def metrics_table(rows: Sequence[MetricRow], arms: Sequence[str], title: str | None = None) -> Table:
    """One arm: metric, value, 95 % interval, n. Several: a column of values with intervals and n an arm, and the
    difference of the last from the first. A number that was not measured says why."""
    return _one_arm(rows, title) if len(arms) == 1 else _several_arms(rows, arms, title, with_p=False)


def comparison_table(data: ComparisonData) -> Table:
    """Both runs, the paired difference and its Holm-adjusted p-value."""
    return _several_arms(data.metrics, data.arms, data.title, with_p=True)


def _one_arm(rows: Sequence[MetricRow], title: str | None) -> Table:
    table = _table(title)
    for heading in ("value", "95 % interval", "n"):
        table.add_column(heading, justify="right", overflow="fold")
    for row in rows:
        (value,) = row.values
        shown = _missing(value) if value.value is None else Text(number(value.value, percent=row.percent))
        n = "" if value.n is None else f"{value.n:,}"
        table.add_row(_name(row), shown, interval(value.ci95, percent=row.percent), n)
    return table


def _several_arms(rows: Sequence[MetricRow], arms: Sequence[str], title: str | None, *, with_p: bool) -> Table:
    table = _table(title)
    for heading in [*arms, "difference", *(["p, Holm"] if with_p else [])]:
        table.add_column(_text(heading), justify="right", overflow="fold")
    for row in rows:
        p = p_value(row.difference.p_adjusted if row.difference else None) or "not tested"
        table.add_row(
            _name(row),
            *(_estimate(value, row.percent) for value in row.values),
            _difference(row),
            *([p] if with_p else []),
        )
    return table


def _table(title: str | None) -> Table:
    table = Table(title=_text(title) if title else None, title_justify="left", header_style="bold")
    table.add_column("metric", overflow="fold")
    return table


def _text(text: str) -> Text:
    """Outside text, without terminal escapes and never read as rich markup."""
    return Text(printable(text))


def _name(row: MetricRow) -> Text:
    name = _text(row.label)
    if row.label != row.name:
        name.append(f"\n{printable(row.name)}", style="dim")
    return name


def _missing(value: Estimate) -> Text:
    return Text(NOT_MEASURED, style="yellow").append(
        f"\n{printable(value.reason)}" if value.reason else "", style="dim"
    )


def _estimate(value: Estimate, percent: bool) -> Text:
    if value.value is None:
        return _missing(value)
    details = [interval(value.ci95, percent=percent) or "no interval"]
    if value.n is not None:
        details.append(f"n {value.n:,}")
    return Text(number(value.value, percent=percent)).append("\n" + ", ".join(details), style="dim")


def _difference(row: MetricRow) -> Text:
    difference = row.difference
    if difference is None or difference.value is None:
        return Text(NOT_MEASURED, style="yellow").append(
            f"\n{printable(difference.reason)}" if difference and difference.reason else "", style="dim"
        )
    word = change(row)
    text = Text(number(difference.value, percent=row.percent, signed=True), style=_STYLE.get(word, ""))
    detail = interval(difference.ci95, percent=row.percent, signed=True) or difference.reason or "no interval"
    return text.append(f"\n{detail}" + (f", {word}" if word else ""), style="dim")
