"""The page of a bench: `search_bench_sections` for `bench search`; other benches put together sections of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personaproof.core import DataError
from personaproof.report.build import read_estimate
from personaproof.report.data import Estimate, Headline
from personaproof.report.format import interval, number
from personaproof.report.section import Entry, Number, Plot, Point, Section, Series, Table

Summary = Mapping[str, Any]


def search_bench_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `bench search`. Raises DataError where it is not of that form."""
    try:
        return (_costs(summary), _equal_calls(summary), _equal_asr(summary))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise not_of_the_form(error) from error


def search_bench_headline(summary: Summary) -> Headline:
    """What the first strategy but the reference costs against it, a sentence a level. Raises DataError where the
    summary is not of that form."""
    try:
        reference = summary["reference"]
        ours = next(name for name in summary["strategies"] if name != reference)
        points = [_sentence(summary, ours, level) for level in summary["levels"]]
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise not_of_the_form(error) from error
    return Headline(f"{ours} against {reference}, over {_seeds(summary['seeds'])}", "unknown", tuple(points))


def not_of_the_form(error: Exception) -> DataError:
    return DataError(
        f"the summary of the bench is not of this version's form: {error!r}; run the same command again, which "
        "continues from its store."
    )


def over_seeds(entry: Mapping[str, Any], missing: str = "no seed got there") -> Estimate:
    """A number of a bench's summary, whose n counts seeds; `missing` says why there is none. Raises DataError for an
    entry of another form."""
    return read_estimate("a bench's number", {"reason": missing, **entry}, "this bench")


def series_over(name: str, points: Sequence[tuple[float, Mapping[str, Any]]]) -> Series:
    """A line of a bench: (x, number of its summary) pairs; a number that is not there is a gap."""
    estimates = [(x, over_seeds(entry)) for x, entry in points]
    return Series(name, tuple(Point(x, each.value, each.ci95) for x, each in estimates))


def _costs(summary: Summary) -> Section:
    reference = summary["reference"]
    rows: list[tuple[Entry, ...]] = []
    for name, level, key in _keys(summary):
        ratio = summary["ratios"][f"{name}.calls_to_{key}"]
        rows.append(
            (
                name,
                number(level, percent=True),
                summary["reached"][f"{name}.{key}"],
                Number(over_seeds(summary["metrics"][f"{name}.calls_to_{key}"], "no seed reached it")),
                "1 (the reference)"
                if name == reference
                else Number(over_seeds(ratio, "in no seed both reached it"), detail=_reached(ratio, name, reference)),
                "" if name == reference else _bounds(summary["ratios"], f"{name}.calls_to_{key}"),
            )
        )
    table = Table(
        "Target calls to a confirmed attack success",
        (
            "Strategy",
            "Level",
            "Seeds that reached it",
            "Calls",
            f"Ratio to {reference}, seeds that reached it in both",
            "Bound over all seeds",
        ),
        tuple(rows),
        caption=f"Ratios are geometric means over seeds, paired: a seed has the same requests and seed personas under "
        f"every strategy. Below 1 needs fewer calls than {reference}. Where a seed stopped short of the level, the "
        "calls it had spent until then bound what it would have needed.",
    )
    return Section(
        "bench-costs",
        "What it costs to get there",
        "Calls to the target model until the mean attack success of the elites, confirmed on requests that no search "
        "saw, first reached a level. Calls that only confirm are not counted.",
        tables=(table,),
        plots=(_curves(summary),),
    )


def _equal_calls(summary: Summary) -> Section:
    metrics, budgets = summary["metrics"], summary["budgets"]
    missing = "no seed was compared at it"

    def table(title: str, what: str, caption: str, *, signed: bool = False) -> Table:
        return Table(
            title,
            ("Strategy", *(f"{budget:,} calls" for budget in budgets)),
            tuple(
                (
                    name,
                    *(
                        Number(over_seeds(metrics[f"{name}.{what}_{budget}"], missing), percent=True, signed=signed)
                        for budget in budgets
                    ),
                )
                for name in summary["strategies"]
            ),
            caption,
        )

    return Section(
        "bench-equal-calls",
        "At equal calls",
        "The elites that each strategy would have reported after so many calls; means over seeds with 95 % intervals."
        if budgets
        else "This bench was asked for no budgets at which to compare.",
        tables=(
            table(
                "Confirmed attack success at equal calls",
                "confirmed_asr_at",
                "A strategy whose own budget is smaller is not compared beyond it.",
            ),
            table(
                "The winner's curse at equal calls: search estimate minus confirmed",
                "gap_at",
                "What a search believes of its elites flatters them, since they were picked for their luck too.",
                signed=True,
            ),
        )
        if budgets
        else (),
    )


def _equal_asr(summary: Summary) -> Section:
    metrics, ratios, reference = summary["metrics"], summary["ratios"], summary["reference"]
    rows: list[tuple[Entry, ...]] = [
        (
            name,
            number(level, percent=True),
            Number(over_seeds(metrics[f"{name}.similarity_at_{key}"], "no seed reached it")),
            "1 (the reference)"
            if name == reference
            else Number(over_seeds(ratios[f"{name}.similarity_at_{key}"], "in no seed both reached it")),
            Number(over_seeds(metrics[f"{name}.gap_at_{key}"], "no seed reached it"), percent=True, signed=True),
        )
        for name, level, key in _keys(summary)
    ]
    return Section(
        "bench-equal-asr",
        "At equal attack success",
        "The elites at the point where a strategy first reached a level: how alike they are, and how far the search's "
        "own estimate was above the confirmed value. Similarity is the mean cosine of TF-IDF vectors over pairs of "
        "elites: 0 shares no word, 1 is the same wording.",
        tables=(
            Table(
                "Diversity and winner's curse at equal attack success",
                (
                    "Strategy",
                    "Level",
                    "Similarity of elites",
                    f"Similarity, ratio to {reference}",
                    "Estimate minus confirmed",
                ),
                tuple(rows),
            ),
        ),
    )


def _curves(summary: Summary) -> Plot:
    """A thin line a seed, and the mean over seeds at the budgets."""
    series = []
    for name in summary["strategies"]:
        for curve in summary["curves"][name]:
            # A state that was confirmed for a level and again for a budget is one point.
            known = {int(calls): float(confirmed) for calls, _, confirmed in curve}
            points = tuple(Point(calls, known[calls]) for calls in sorted(known))
            series.append(Series(name, points, faint=True))
        metrics = summary["metrics"]
        series.append(
            series_over(name, [(budget, metrics[f"{name}.confirmed_asr_at_{budget}"]) for budget in summary["budgets"]])
        )
    return Plot(
        "Confirmed attack success by target calls",
        x_label="calls to the target model",
        y_label="confirmed attack success of the elites",
        series=tuple(series),
        y_percent=True,
        x_log=True,
        caption="Thin lines are single seeds, wherever their elites were confirmed; thick lines are means over seeds "
        "at equal calls, with 95 % intervals.",
    )


def _keys(summary: Summary) -> list[tuple[str, float, str]]:
    """(strategy, level, the level as names have it), row by row."""
    return [(name, level, f"{level:.2f}") for name in summary["strategies"] for level in summary["levels"]]


def _reached(ratio: Mapping[str, Any], name: str, reference: str) -> str:
    ours, theirs = ratio["reached"], ratio["reached_reference"]
    return f"reached by {name} in {ours}, by {reference} in {theirs} of {_seeds(ratio['seeds'])}"


def _bounds(ratios: Mapping[str, Any], name: str) -> str:
    """The bounds beside a ratio in words; "" where every seed reached the level in both."""
    told = [
        f"{words} {number(ratios[f'{name}_{key}']['value'], percent=False)}"
        for key, words in (("at_least", "at least"), ("at_most", "at most"))
        if f"{name}_{key}" in ratios
    ]
    if told:
        return " and ".join(told)
    ratio = ratios[name]
    return "" if ratio["reached"] == ratio["reached_reference"] == ratio["seeds"] else "none: both fell short in some"


def _sentence(summary: Summary, ours: str, level: float) -> str:
    key = f"{ours}.calls_to_{level:.2f}"
    ratio, reference = summary["ratios"][key], summary["reference"]
    estimate = over_seeds(ratio)
    start = f"Confirmed attack success of {number(level, percent=True)}: "
    bounds = _bounds(summary["ratios"], key)
    over_all = f"; over all seeds {bounds} times" if bounds and not bounds.startswith("none") else ""
    if estimate.value is None:
        return f"{start}in no seed both reached it ({_reached(ratio, ours, reference)}){over_all}."
    shown = number(estimate.value, percent=False)
    low_high = f" (95 % interval {interval(estimate.ci95, percent=False)})" if estimate.ci95 else " (no interval)"
    return f"{start}{shown} times the calls of {reference}{low_high}; {_reached(ratio, ours, reference)}{over_all}."


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"
