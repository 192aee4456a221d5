"""From summaries, lineages and logs to the parts of a report."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from personaproof.core import DataError, Persona
from personaproof.report.data import (
    Difference,
    Estimate,
    Lineage,
    LineageEdge,
    LineageNode,
    MetricRow,
    SearchCurve,
    TrainingCurve,
)
from personaproof.report.labels import is_rate, metric_label, metric_order

Summary = Mapping[str, Mapping[str, Any]]
"""The metrics of a summary.json: dotted name to {"value", "ci95", "n"} and, where value is null, "reason"."""

LineageRecord = tuple[Persona, Sequence[str], str, int, int, int]
"""(persona, ids of its parents, operation, generation, successes, judged)."""


def build_metric_rows(
    arms: Mapping[str, Summary],
    differences: Mapping[str, Mapping[str, Any]] | None = None,
    only: Sequence[str] | None = None,
) -> tuple[MetricRow, ...]:
    """One row a metric that any arm has, known metrics first and what could not be judged last.

    `differences` maps a metric to {"value", "ci95", "n", "p", "p_adjusted"}, last arm minus first. With two or more
    arms and no entry, the bare difference of the values is shown without an interval, and the row says so. `only`
    limits and orders the rows. Raises DataError for an entry that is not of the summary's form.
    """
    differences = differences or {}
    names = list(only) if only is not None else sorted({n for s in arms.values() for n in s}, key=metric_order)
    rows = []
    for name in names:
        values = tuple(read_estimate(name, summary.get(name), arm) for arm, summary in arms.items())
        known = metric_label(name)
        rows.append(
            MetricRow(
                name=name,
                label=known.label,
                explanation=known.explanation,
                values=values,
                difference=_difference(name, differences.get(name), values) if len(values) > 1 else None,
                percent=is_rate(name),
                better=known.better,
            )
        )
    return tuple(rows)


def build_lineage(title: str, records: Iterable[LineageRecord], elites: Iterable[str] = ()) -> Lineage:
    """Nodes and edges of a search. `elites` are persona ids. Raises DataError when a parent or elite is unknown or a
    persona occurs twice (duplicates are merged by id before they get here)."""
    records = list(records)
    elite_ids = set(elites)
    known = {record[0].id for record in records}
    if len(known) != len(records):
        raise DataError(f"lineage {title!r}: a persona occurs twice; merge duplicates by id first.")
    if missing := elite_ids - known:
        raise DataError(f"lineage {title!r}: elites that are not in it: {', '.join(sorted(missing)[:5])}.")
    nodes, edges = [], []
    for persona, parents, operation, generation, successes, judged in records:
        if not 0 <= successes <= judged:
            raise DataError(f"lineage {title!r}: {persona.id} has {successes} successes of {judged} judged.")
        nodes.append(
            LineageNode(
                persona.id,
                persona.text,
                operation,
                generation,
                successes,
                judged,
                persona.name,
                persona.id in elite_ids,
            )
        )
        for parent in parents:
            if parent not in known:
                raise DataError(f"lineage {title!r}: {persona.id} has the parent {parent}, which is not in it.")
            edges.append(LineageEdge(parent, persona.id))
    return Lineage(title, tuple(nodes), tuple(edges))


def build_search_curve(
    name: str,
    points: Iterable[tuple[int, float | None, float | None]],
    confirmed: Mapping[str, Any] | None = None,
) -> SearchCurve:
    """`points` are (target calls so far, best ASR, mean elite ASR); `confirmed` is the elites' ASR on fresh requests in
    the summary's form."""
    points = sorted(points, key=lambda point: point[0])
    return SearchCurve(
        name,
        calls=tuple(calls for calls, _, _ in points),
        best=tuple(_finite(best) for _, best, _ in points),
        mean_elite=tuple(_finite(mean) for _, _, mean in points),
        confirmed=read_estimate(f"{name} confirmed", confirmed, name) if confirmed is not None else None,
    )


def build_training_curves(log: Iterable[Mapping[str, Any]], step_key: str = "step") -> tuple[TrainingCurve, ...]:
    """A curve for each number in a training log of one mapping a step. A number that is not finite is kept as a gap.

    Raises DataError for an entry without a whole-number step.
    """
    points: dict[str, list[tuple[int, float | None]]] = {}
    for entry in log:
        step = entry.get(step_key)
        if not isinstance(step, int) or isinstance(step, bool):
            raise DataError(f"a training log entry has no whole-number {step_key!r}: {dict(entry)!r:.120}")
        for name, value in entry.items():
            if name != step_key and isinstance(value, (int, float)) and not isinstance(value, bool):
                points.setdefault(name, []).append((step, _finite(value)))
    return tuple(
        TrainingCurve(name, tuple(step for step, _ in curve), tuple(value for _, value in curve))
        for name, curve in points.items()
    )


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def read_estimate(name: str, entry: Mapping[str, Any] | None, arm: str) -> Estimate:
    """The summary's entry of `name` in `arm`; without one, an estimate that says so. Raises DataError for an entry of
    another form."""
    if entry is None:
        return Estimate(None, reason=f"{arm} has no such metric")
    value, ci95, n = _parts(name, entry)
    if value is None:
        return Estimate(None, n=n, reason=str(entry.get("reason") or _why_missing(entry, n)))
    return Estimate(value, ci95, n)


def read_rate(name: str, entry: Any) -> Estimate:
    """An entry that must be there and be a rate: a null value was not measured, any other lies with its interval in
    [0, 1]. Raises DataError otherwise."""
    value, ci95, _ = _parts(name, entry)
    not_finite = (value is None and entry["value"] is not None) or (ci95 is None and entry.get("ci95") is not None)
    low, high = ci95 or (0.0, 1.0)
    if not_finite or not 0 <= low <= (low if value is None else value) <= high <= 1:
        raise DataError(f"{name!r} is no rate between 0 and 1 inside its interval: {entry!r:.120}")
    return read_estimate(name, entry, name)


def _why_missing(entry: Mapping[str, Any], n: int | None) -> str:
    if entry.get("value") is not None:
        return "the number is not finite"
    return "no answer could be judged" if n == 0 else "the run gave no reason"


def _difference(name: str, entry: Mapping[str, Any] | None, values: tuple[Estimate, ...]) -> Difference:
    first, last = values[0].value, values[-1].value
    if entry is None:
        if first is None or last is None:
            return Difference(None, reason="not measured on both sides")
        return Difference(last - first, reason="not paired, so no interval")
    value, ci95, n = _parts(name, entry)
    if value is None:
        return Difference(None, n=n, reason=str(entry.get("reason") or "the comparison gave no reason"))
    return Difference(
        value, ci95, n, _finite(entry.get("p")), _finite(entry.get("p_adjusted")), str(entry.get("reason") or "")
    )


def _parts(name: str, entry: Mapping[str, Any]) -> tuple[float | None, tuple[float, float] | None, int | None]:
    """value, ci95 and n of a summary entry; a value or bound that is not finite is None."""
    if not isinstance(entry, Mapping) or "value" not in entry:
        raise DataError(f"metric {name!r} is not of the form {{value, ci95, n}}: {entry!r:.120}")
    try:
        value = _finite(entry["value"])
        n = None if entry.get("n") is None else int(entry["n"])
        bounds = entry.get("ci95")
        low, high = (None, None) if bounds is None else (_finite(bounds[0]), _finite(bounds[1]))
    except (TypeError, ValueError, IndexError, KeyError) as error:
        raise DataError(f"metric {name!r} is not of the form {{value, ci95, n}}: {entry!r:.120}") from error
    return value, (low, high) if low is not None and high is not None else None, n
