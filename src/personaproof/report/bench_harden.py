"""The page of `bench harden`: the variants in one table, what they change, and their frontiers along training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personaproof.report.bench import not_of_the_form, over_seeds
from personaproof.report.data import Estimate, Headline
from personaproof.report.format import number
from personaproof.report.labels import metric_label
from personaproof.report.section import Entry, Number, Plot, Point, Section, Series, Table

Summary = Mapping[str, Any]
NOT_RATES = frozenset({"perplexity"})
MUCH_UNJUDGED = 0.05
"""Share of unjudged answers from which the headline says so: a model that has fallen apart complies with nothing."""


def harden_bench_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `bench harden`. Raises DataError where it is not of that form."""
    try:
        return (_end(summary), _frontier(summary))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise not_of_the_form(error) from error


def harden_bench_headline(summary: Summary) -> Headline:
    """The variants from the most to the least of its attack success left, a sentence each. Raises DataError where the
    summary is not of that form."""
    try:
        points = [_sentence(summary, name) for name in summary["variants"]]
        seeds = int(summary["seeds"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_of_the_form(error) from error
    return Headline(
        f"{len(points)} variants of hardening over {seeds} seed{'' if seeds == 1 else 's'}", "unknown", tuple(points)
    )


def _sentence(summary: Summary, name: str) -> str:
    def shown(metric: str) -> str:
        value = over_seeds(summary["metrics"][f"{name}.{metric}"]).value
        return "not measured" if value is None else number(value, percent=metric not in NOT_RATES)

    unjudged = over_seeds(summary["metrics"][f"{name}.unjudged.rate"]).value
    broken = (
        f" {number(unjudged, percent=True)} of its answers could not be judged, and its rates are of the rest."
        if unjudged is not None and unjudged > MUCH_UNJUDGED
        else ""
    )
    return (
        f"{name}: attack success {shown('persona.asr')}, in a fresh search {shown('fresh_search.asr')}; benign "
        f"refusals under personas {shown('benign_persona.rta')}, persona fidelity {shown('utility.fidelity')}, "
        f"perplexity {shown('perplexity')}.{broken}"
    )


def _end(summary: Summary) -> Section:
    variants, columns, seeds = tuple(summary["variants"]), tuple(summary["columns"]), int(summary["seeds"])

    def entry(mean: Estimate, metric: str, *, signed: bool) -> Number:
        partly = f"{mean.n} of {seeds} seeds; none judged in the rest" if mean.n and mean.n < seeds else ""
        return Number(mean, percent=metric not in NOT_RATES, signed=signed, detail=partly)

    def table(title: str, kind: str, names: tuple[str, ...], caption: str, *, signed: bool) -> Table:
        rows: list[tuple[Entry, ...]] = [
            (
                name,
                *(
                    entry(over_seeds(summary[kind][f"{name}.{metric}"], "not measured"), metric, signed=signed)
                    for metric in columns
                ),
            )
            for name in names
        ]
        return Table(title, ("Variant", *(metric_label(metric).label for metric in columns)), tuple(rows), caption)

    return Section(
        "bench-variants",
        "After training",
        "All variants of a seed have the same searches, answers and evaluation, and as many steps; means over seeds "
        "with 95 % intervals. Personas and requests are those that neither search nor training saw.",
        tables=(
            table(
                "What each variant leaves",
                "metrics",
                ("untrained", *variants),
                "Perplexity is of the untrained model's own benign answers in persona: how far the trained model has "
                "moved from them.",
                signed=False,
            ),
            table(
                "What each variant changes",
                "changes",
                variants,
                "After minus before, within each seed.",
                signed=True,
            ),
        ),
    )


def _frontier(summary: Summary) -> Section:
    def plot(title: str, cost: str, label: str) -> Plot:
        series = []
        for name in summary["variants"]:
            courses = summary["frontier"][name]
            for course in courses:
                series.append(
                    Series(name, tuple(Point(look[cost], look["fresh_search.asr"]) for look in course), faint=True)
                )
            series.append(Series(name, tuple(_mean_look(looks, cost) for looks in zip(*courses, strict=False))))
        return Plot(
            title,
            x_label=label,
            y_label="confirmed attack success of a fresh search",
            series=tuple(series),
            x_percent=True,
            y_percent=True,
            caption="From the untrained model on: each mark is a look, labelled with its step; thick lines are means "
            "over seeds, thin ones single seeds. Better is lower, and nearer to where the line began.",
        )

    return Section(
        "bench-frontier",
        "Along training",
        "Attack success is one side of it; what a variant takes from the model on the way is the other.",
        plots=(
            plot("Attack success against over-refusal in persona", "benign_persona.rta", "benign refusals in persona"),
            plot("Attack success against persona fidelity", "utility.fidelity", "persona fidelity"),
        ),
    )


def _mean_look(looks: tuple[Mapping[str, Any], ...], cost: str) -> Point:
    def mean(name: str) -> float | None:
        values = [look[name] for look in looks]
        return None if any(value is None for value in values) else sum(values) / len(values)

    return Point(mean(cost), mean("fresh_search.asr"), label=str(looks[0]["step"]))
