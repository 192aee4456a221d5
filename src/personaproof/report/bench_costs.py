"""The pages of `bench loss` and `bench directions`: what our way takes, against others measured beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from personaproof.report.bench import not_of_the_form, over_seeds
from personaproof.report.data import Estimate, Headline
from personaproof.report.format import number
from personaproof.report.section import Entry, Number, Section, Table

Summary = Mapping[str, Any]
_ERRORS = (KeyError, TypeError, ValueError, AttributeError, IndexError)
_LOSS_FORMS = {
    "joint": "ours, in chunks",
    "dense": "row by row on the whole vocabulary",
    "dpo+teacher": "DPO alone, and the teacher's forward pass",
}
_DIRECTION_FORMS = {"surprise": ("surprise matrix", "nats a text"), "activations": ("activations", "of their length")}


def loss_bench_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `bench loss`. Raises DataError where it is not of that form."""
    try:
        return (_loss(summary),)
    except _ERRORS as error:
        raise not_of_the_form(error) from error


def loss_bench_headline(summary: Summary) -> Headline:
    """Every goal in a sentence. Raises DataError where the summary is not of that form."""
    try:
        points, met = [], []
        for vocabulary in summary["recipe"]["vocabularies"]:
            for name, goal in summary["goals"].items():
                form, what = name.removeprefix("joint_to_").split(".")
                ratio = _value(over_seeds(summary["ratios"][f"{name}_{vocabulary}"]))
                met.append(ratio <= goal)
                points.append(
                    f"Vocabulary {vocabulary:,}: {number(ratio, percent=False)} times the "
                    f"{'time' if what == 'seconds' else 'memory'} of {form} (goal: at most {goal:g}, "
                    f"{'met' if met[-1] else 'missed'})."
                )
    except _ERRORS as error:
        raise not_of_the_form(error) from error
    return _headline("The joint loss", points, met)


def directions_bench_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `bench directions`. Raises DataError where it is not of that form."""
    try:
        return (_directions(summary),)
    except _ERRORS as error:
        raise not_of_the_form(error) from error


def directions_bench_headline(summary: Summary) -> Headline:
    """Either form in a sentence. Raises DataError where the summary is not of that form."""
    try:
        points, met = [], []
        for form, (name, _) in _DIRECTION_FORMS.items():
            faster = _value(over_seeds(summary["ratios"][f"{form}.naive_to_ours"]))
            met.append(faster >= summary["goal"])
            points.append(
                f"{name.capitalize()}: {number(faster, percent=False)} times faster than one text at a time (goal: "
                f"{summary['goal']:g}, {'met' if met[-1] else 'missed'})."
            )
    except _ERRORS as error:
        raise not_of_the_form(error) from error
    return _headline("Shared prefixes", points, met)


def _loss(summary: Summary) -> Section:
    recipe, metrics, ratios, goals = (summary[name] for name in ("recipe", "metrics", "ratios", "goals"))
    rows: list[tuple[Entry, ...]] = []
    for vocabulary in recipe["vocabularies"]:
        for form, words in _LOSS_FORMS.items():
            cells: list[Entry] = []
            for what in ("seconds", "megabytes"):
                cells.append(Number(over_seeds(metrics[f"{form}.{what}_{vocabulary}"])))
                if form == "joint":
                    cells.append("1")
                else:
                    goal = goals.get(f"joint_to_{form}.{what}")
                    ratio = over_seeds(ratios[f"joint_to_{form}.{what}_{vocabulary}"])
                    cells.append(Number(ratio, detail=f"goal: at most {goal:g}" if goal else ""))
            rows.append((f"{vocabulary:,}", words, *cells))
    apart = max(summary["agreement"].values())
    return Section(
        "bench-loss",
        "What the joint loss costs",
        f"Forward and backward from final hidden states to their gradients: {recipe['rows']} preference rows of "
        f"{recipe['tokens']} tokens a response, width {recipe['width']}, {summary['dtype']} on {summary['device']}"
        f"{_threads(summary)}. Each measurement is a process of its own; peak memory is what it grew by over its "
        f"inputs. Loss and gradients of the first two forms agree to {apart:.1g}.",
        tables=(
            Table(
                "Time and peak memory",
                ("Vocabulary", "Form", "Seconds", "Ours to it", "MiB", "Ours to it"),
                tuple(rows),
                caption=f"Means over {_repeats(recipe)} with 95 % intervals; ratios are geometric means of "
                "measurements made next to each other.",
            ),
        ),
    )


def _directions(summary: Summary) -> Section:
    rows: list[tuple[Entry, ...]] = [
        (
            name,
            *(Number(over_seeds(summary["metrics"][f"{form}.{way}_seconds"])) for way in ("ours", "naive")),
            Number(over_seeds(summary["ratios"][f"{form}.naive_to_ours"]), detail=f"goal: {summary['goal']:g}"),
            f"{summary['agreement'][form]:.2g} {unit}",
        )
        for form, (name, unit) in _DIRECTION_FORMS.items()
    ]
    return Section(
        "bench-directions",
        "What shared prefixes save",
        f"{summary['texts']} texts under {summary['recipe']['personas']} personas; a prompt has "
        f"{summary['prompt_tokens']:.0f} tokens and a text {summary['response_tokens']:.0f} on average; "
        f"{summary['dtype']} on {summary['device']}{_threads(summary)}. The naive way encodes each text under "
        "each persona by itself, prompt and all.",
        tables=(
            Table(
                "Seconds",
                ("What", "Ours", "One text at a time", "Times faster", "Largest difference"),
                tuple(rows),
                caption=f"Means over {_repeats(summary['recipe'])} with 95 % intervals, both ways in turn.",
            ),
        ),
    )


def _value(estimate: Estimate) -> float:
    if estimate.value is None:
        raise ValueError("a ratio that was not measured")
    return estimate.value


def _headline(what: str, points: list[str], met: list[bool]) -> Headline:
    verdict = f"{what}: {sum(met)} of {len(met)} goals met"
    return Headline(verdict, "good" if all(met) else "mixed" if any(met) else "bad", tuple(points))


def _threads(summary: Summary) -> str:
    count = summary["threads"]
    return f", {count} thread{'' if count == 1 else 's'}"


def _repeats(recipe: Summary) -> str:
    return f"{recipe['repeats']} repeat{'' if recipe['repeats'] == 1 else 's'}"
