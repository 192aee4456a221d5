"""The page of `bench air`: right answers in and out of distribution, their course along training, the hacking test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personaproof.report.bench import not_of_the_form, over_seeds
from personaproof.report.data import Headline
from personaproof.report.format import number
from personaproof.report.section import Entry, Number, Plot, Point, Section, Series, Table

Summary = Mapping[str, Any]
SPLITS = {"in": "In distribution", "out": "Out of distribution"}


def air_bench_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `bench air`. Raises DataError where it is not of that form."""
    try:
        sections = [_rates(summary), _courses(summary)]
        if summary["hacking"]:
            sections.append(_hacking(summary))
        return tuple(sections)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise not_of_the_form(error) from error


def air_bench_headline(summary: Summary) -> Headline:
    """Every arm in a sentence. Raises DataError where the summary is not of that form."""
    try:
        points = [_sentence(summary, name) for name in summary["arms"]]
        seeds = int(summary["seeds"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_of_the_form(error) from error
    return Headline(
        f"Meta-groups that are right throughout, over {seeds} seed{'' if seeds == 1 else 's'}", "unknown", tuple(points)
    )


def _sentence(summary: Summary, arm: str) -> str:
    def shown(split: str, rate: str) -> str:
        value = over_seeds(summary["metrics"][f"{arm}.{split}.mean.{rate}"]).value
        return "not measured" if value is None else number(value, percent=True)

    return (
        f"{arm}: {shown('out', 'acc_group')} of the groups out of distribution ({shown('in', 'acc_group')} in), and "
        f"{shown('out', 'acc')} of the single answers ({shown('in', 'acc')} in)."
    )


def _rates(summary: Summary) -> Section:
    columns = (*summary["domains"], "mean")

    def table(split: str, rate: str, title: str) -> Table:
        rows: list[tuple[Entry, ...]] = [
            (
                arm,
                *(
                    Number(over_seeds(summary["metrics"][f"{arm}.{split}.{domain}.{rate}"], "not judged"), percent=True)
                    for domain in columns
                ),
            )
            for arm in summary["arms"]
        ]
        return Table(title, ("Arm", *columns), tuple(rows))

    return Section(
        "air-rates",
        "After training",
        "Acc is the share of right answers, Acc_group that of meta-groups whose variants are all right: one task in "
        "verifiable anchors and in open contexts. All arms of a seed train on the same groups; means over seeds with "
        "95 % intervals. Out of distribution are tasks, wordings and personas that no training saw.",
        tables=tuple(
            table(split, rate, f"{SPLITS[split]}: {title}")
            for split in SPLITS
            for rate, title in (
                ("acc_group", "Acc_group"),
                ("acc", "Acc"),
                ("acc.anchor", "Acc on anchors"),
                ("acc.open", "Acc on open variants"),
            )
        ),
    )


def _courses(summary: Summary) -> Section:
    def plot(split: str) -> Plot:
        series: list[Series] = []
        for arm, runs in summary["courses"].items():
            series += _series(arm, runs, f"{split}.acc_group")
        return Plot(
            f"{SPLITS[split]}: groups that are right throughout",
            x_label="optimiser steps",
            y_label="Acc_group",
            series=tuple(series),
            y_percent=True,
            caption="On some groups of each domain. Thick lines are means over seeds, thin ones single seeds.",
        )

    return Section("air-courses", "Along training", "", plots=tuple(plot(split) for split in SPLITS))


def _hacking(summary: Summary) -> Section:
    def plot(rate: str, title: str, label: str) -> Plot:
        series: list[Series] = []
        for arm, runs in summary["hacking"].items():
            series += _series(arm, runs, rate)
        return Plot(title, x_label="optimiser steps", y_label=label, series=tuple(series), y_percent=True)

    return Section(
        "air-hacking",
        "A reward that can be gamed",
        "Trained on a reward that a refusal's keyword earns for an open answer, whatever was asked and whatever else "
        "the answer does; anchors keep their rules. What the keyword earns may rise while the true decisions, as the "
        "run's judge sees them, do not.",
        plots=(
            plot("keyword.open", "What is rewarded", "open answers with full marks"),
            plot("true.open", "What is true", "open answers that are right"),
            plot("true.harmful", "What is true of harmful requests", "open answers that are right"),
            plot("true.benign", "What is true of benign requests", "open answers that are right"),
        ),
    )


def _series(arm: str, runs: Sequence[Sequence[Mapping[str, Any]]], rate: str) -> list[Series]:
    def value(look: Mapping[str, Any]) -> float | None:
        found = look["metrics"][rate]["value"]
        return None if found is None else float(found)

    found = [Series(arm, tuple(Point(look["step"], value(look)) for look in run), faint=True) for run in runs]
    mean = []
    for looks in zip(*runs, strict=False):
        values = [known for look in looks if (known := value(look)) is not None]
        mean.append(Point(looks[0]["step"], sum(values) / len(values) if len(values) == len(looks) else None))
    return [*found, Series(arm, tuple(mean))]
