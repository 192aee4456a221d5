"""The page of `recognize`: who claims whose texts, how far each persona is from the Assistant, what predicts claims."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from personaproof.core import DataError
from personaproof.report.build import read_estimate, read_rate
from personaproof.report.data import Estimate, Headline, Tone
from personaproof.report.section import Entry, Number, Plot, Point, Section, Series, Table

Summary = Mapping[str, Any]
T = TypeVar("T")

TONES: Mapping[str, Tone] = {
    "privileged": "good",
    "not privileged": "mixed",
    "undecided": "unknown",
    "unanswered": "unknown",
}
PREDICTORS = {
    "asymmetric": "asymmetric gap (reference: the Assistant)",
    "symmetric": "symmetric gap (reference: the writer)",
    "plain": "plain surprise (no reference)",
}
BANDS = {
    "near": "near the Assistant",
    "middle": "in the middle",
    "far": "far from the Assistant",
    "all": "all that answer",
    "any": "all, answering or not",
}
CHANGES = {
    "r.far.asymmetric": "mean r of the asymmetric gap, far evaluators",
    "r.far.symmetric": "mean r of the symmetric gap, far evaluators",
    "r.far.plain": "mean r of plain surprise, far evaluators",
    "r.any.asymmetric": "mean r of the asymmetric gap, all evaluators",
    "claim.own": "claim rate on own texts",
    "claim.others": "claim rate on others' texts",
    "mass": "probability of giving either answer",
    "information": "distance from the Assistant, nats a text",
    "activation": "distance from the Assistant, activations",
}


def recognition_headline(summary: Summary) -> Headline:
    """The verdict with its points. Raises DataError where the summary is not of this form."""

    def build() -> Headline:
        said = summary["verdict"]
        points = (*said["points"], *summary.get("comparison", {}).get("sentences", ()))
        return Headline(said["sentence"], TONES[said["answer"]], tuple(points))

    return _explained(build)


def recognition_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `recognize`. Raises DataError where it is not of that form."""

    def build() -> tuple[Section, ...]:
        found = [_claims(summary), _predictors(summary), _references(summary), _distances(summary)]
        if "comparison" in summary:
            found.append(_comparison(summary["comparison"]))
        return tuple(found)

    return _explained(build)


def _explained(build: Callable[[], T]) -> T:
    try:
        return build()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"the summary of the study is not of this version's form: {error!r}; run the same command again, which "
            "continues from what it has kept."
        ) from error


def _claims(summary: Summary) -> Section:
    personas = summary["personas"]
    kept = summary["texts"]["kept"]
    rows: list[tuple[Entry, ...]] = []
    for evaluator, rates in zip(summary["evaluators"], summary["matrices"]["claims"], strict=True):
        cells = [
            Number(read_rate("a claim rate", {"value": rate, "ci95": None, "n": kept[writer]}), percent=True)
            for writer, rate in zip(personas, rates, strict=True)
        ]
        # What an evaluator hardly ever says is marked, so that its shares are not read as its words.
        name = evaluator["name"] if evaluator["answers"] else f"{evaluator['name']} (does not answer)"
        rows.append((name, Number(_plain(evaluator["mass"]), percent=True), *cells))
    metrics = summary["metrics"]

    def rate(name: str) -> Number:
        return Number(read_estimate(name, metrics[name], "this study"), percent=True, signed="less" in name)

    claim = summary["recipe"]["claim"]
    left_out = sum(summary["texts"]["empty"].values())
    cut = sum(summary["texts"]["cut_off"].values())
    return Section(
        "claims",
        "Who claims whose texts",
        f"Each text is put to each persona with the question: {claim['form']} The answers are "
        f"{claim['mine']!r} and {claim['other']!r}, in both orders; a claim rate is the mean probability of "
        f"{claim['mine']!r} among the two. {sum(kept.values()):,} texts; {left_out} were empty and left out, {cut} "
        "reached the limit of tokens.",
        tables=(
            Table(
                "Own texts and others'",
                ("Evaluator", "claims its own", "claims others'", "gives either answer"),
                (
                    (
                        "Assistant",
                        rate("assistant.claim.own"),
                        rate("assistant.claim.others"),
                        rate("assistant.answer.mass"),
                    ),
                    ("personas, mean", rate("claim.own"), rate("claim.others"), rate("answer.mass")),
                ),
            ),
            Table(
                "The control: the answers' order",
                ("", "claim rate"),
                ((f"{claim['mine']!r} offered first less second", rate("claim.first_less_second")),),
                caption="Far from zero, the order of the answers decides more than the text does.",
            ),
            Table(
                "Claim rates",
                ("Evaluator", "gives either answer", *personas),
                tuple(rows),
                caption="Rows judge, columns wrote. Self-recognition is a dark diagonal on pale rows. Where an "
                "evaluator does not answer, its shares are of what little probability either answer has.",
                heat=True,
            ),
        ),
    )


def _predictors(summary: Summary) -> Section:
    metrics = summary["metrics"]
    rows: list[tuple[Entry, ...]] = []
    for band in (*summary["bands"], "all", "any"):
        members = ", ".join(summary["bands"].get(band, ()))
        rows.append(
            (
                f"{BANDS[band]}: {members}" if members else BANDS[band],
                *(_correlation(metrics[f"r.{band}.{predictor}"]) for predictor in PREDICTORS),
                _correlation(metrics[f"gain.{band}.asymmetric_over_symmetric"], signed=True),
                _correlation(metrics[f"gain.{band}.asymmetric_over_plain"], signed=True),
            )
        )
    by_distance = sorted(summary["evaluators"][1:], key=lambda each: float(each["information"]["value"]))
    single = [
        (
            each["name"],
            f"{each['band']}{'' if each['answers'] else ', does not answer'}",
            *(_correlation(each["r"][predictor]) for predictor in PREDICTORS),
            "undefined" if each["assistant_rank"] is None else f"{each['assistant_rank']:g}",
        )
        for each in by_distance
    ]
    plot = Plot(
        "What predicts claims, by the evaluator's distance from the Assistant",
        x_label="information distance of the evaluator, nats a text",
        y_label="r with its claim rates",
        series=tuple(
            Series(label, (Point(each["information"]["value"], each["r"][name]["value"], label=each["name"]),))
            for name, label in PREDICTORS.items()
            for each in by_distance
        ),
    )
    return Section(
        "predictors",
        "What predicts a claim",
        "Each measure is H_reference(x) less H_evaluator(x), nats a token, averaged over a writer's texts and "
        "correlated with the claim rates over writers, evaluator by evaluator. Means are over evaluators, with "
        "intervals from drawing the writers anew; only evaluators that give one of the two answers more often than not "
        "count, except in the last row.",
        tables=(
            Table(
                "Mean r by distance band",
                (
                    "Evaluators",
                    *PREDICTORS.values(),
                    "asymmetric less symmetric",
                    "asymmetric less plain",
                ),
                tuple(rows),
            ),
            Table(
                "Each evaluator, nearest first",
                ("Evaluator", "Band", *PREDICTORS.values(), "Assistant's rank as reference"),
                tuple(single),
                caption="Intervals of single correlations are Fisher's.",
            ),
        ),
        plots=(plot,),
    )


def _references(summary: Summary) -> Section:
    over = summary["references"][0]["over"]
    ranks = [
        (BANDS[band], _correlation(summary["metrics"][f"assistant.rank.{band}"]))
        for band in (*summary["bands"], "all", "any")
    ]
    return Section(
        "references",
        "Any other persona as the reference",
        "The Assistant is put in the place of every persona in turn: if it is privileged, no other reference does as "
        f"well. Mean r is over evaluators {BANDS[over]}.",
        tables=(
            Table("The Assistant's rank among all references", ("Evaluators", "rank"), tuple(ranks)),
            Table(
                "References, best first",
                ("Reference", "mean r"),
                tuple((each["name"], _correlation(each["r"])) for each in summary["references"]),
            ),
        ),
    )


def _distances(summary: Summary) -> Section:
    row = {name: summary["metrics"][f"assistant.row.{name}"] for name in ("information", "activation", "ratio")}
    claims = summary["matrices"]["claims"][0]
    evaluators = summary["evaluators"]

    def scatter(title: str, label: str, values: list[float]) -> Plot:
        points = zip(values, claims, evaluators, strict=True)
        return Plot(
            title,
            x_label=label,
            y_label="Assistant's claim rate",
            series=tuple(Series("writers", (Point(x, y, label=each["name"]),)) for x, y, each in points),
            y_percent=True,
        )

    return Section(
        "distances",
        "How far each persona is from the Assistant",
        "Information distance is the mean over a persona's own texts of log q_persona less log q_Assistant; activation "
        f"distance is between mean activations over their tokens, at the input of block {summary['layer']}.",
        tables=(
            Table(
                "The Assistant's own row: r of its claims over writers",
                ("information distance", "activation distance", "log-likelihood ratio a token"),
                ((_correlation(row["information"]), _correlation(row["activation"]), _correlation(row["ratio"])),),
                caption="The published study found -0.88 with distance and +0.73 with the ratio in a model of 70 "
                "billion parameters.",
            ),
            Table(
                "Distances",
                ("Persona", "information, nats a text", "activation"),
                tuple(
                    (
                        each["name"],
                        Number(read_estimate(each["name"], each["information"], "this study")),
                        Number(_plain(each["activation"])),
                    )
                    for each in evaluators
                ),
            ),
        ),
        plots=(
            scatter(
                "The Assistant's claims against information distance",
                "nats a text",
                summary["matrices"]["information"],
            ),
            scatter(
                "The Assistant's claims against activation distance",
                "distance of mean activations",
                summary["matrices"]["activation"],
            ),
        ),
    )


def _comparison(comparison: Mapping[str, Any]) -> Section:
    left_out = ", ".join(comparison["left_out"])
    rows = tuple(
        (label, Number(read_estimate(name, comparison["changes"][name], "the comparison"), signed=True))
        for name, label in CHANGES.items()
    )
    return Section(
        "against",
        "Against the earlier study",
        f"This study less that in {comparison['with']}, on the {len(comparison['personas'])} personas of both"
        f"{f' (left out: {left_out})' if left_out else ''}. Bands are the earlier study's for both, of evaluators that "
        "answer in both; writers are drawn alike for both.",
        tables=(Table("What changed", ("Measure", "change"), rows),),
        verdict=" ".join(comparison["sentences"]),
    )


def _correlation(entry: Mapping[str, Any], *, signed: bool = False) -> Number:
    reason = {"reason": "no evaluator of these answers, or nothing varies"}
    return Number(read_estimate("a correlation", {**reason, **entry}, "this study"), signed=signed)


def _plain(value: float) -> Estimate:
    return Estimate(float(value))
