"""The page of `gate`: the verdict, dose-response, knockout and restoration, cosines, and where was searched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from personaproof.core import DataError
from personaproof.report.build import read_estimate
from personaproof.report.data import Estimate, Headline, Tone
from personaproof.report.format import number
from personaproof.report.section import Entry, Number, Plot, Point, Section, Series, Table

T = TypeVar("T")
Summary = Mapping[str, Any]
ARMS = {
    "persona": "compliant persona",
    "random": "random directions",
    "opposite": "opposite persona",
    "off_axis": "persona, orthogonal to the Assistant axis",
    "along_axis": "persona, along the Assistant axis",
}
CONTEXTS = {"plain": "No persona in the prompt", "neutral": "Neutral roles in the prompt"}
OUTCOMES = ("refused", "complied", "harmless", "harm_unknown", "degenerate", "unjudged")
BENIGN_OUTCOMES = ("refused", "harmless", "degenerate", "unjudged")
"""Of benign requests it is asked whether they are refused, and nothing of harm."""
HEADINGS = {"harm_unknown": "not refused, harm unknown"}
BENIGN_HEADINGS = {"harmless": "answered"}
HARMFUL_COLUMNS = tuple(HEADINGS.get(outcome, outcome) for outcome in OUTCOMES)
BENIGN_COLUMNS = tuple(BENIGN_HEADINGS.get(outcome, outcome) for outcome in BENIGN_OUTCOMES)
TONES: Mapping[str, Tone] = {"gates": "bad", "no gating": "good", "cannot tell": "unknown"}
WITH_INTERVALS = ("persona", "random")
"""Those that the verdict compares; bands of all five would hide each other."""
MOST_PLACES = 12
EFFECTS = {
    "effect.push.plain": "compliance when pushed, no persona, beyond random directions",
    "effect.push.plain.unsteered": "compliance when pushed, no persona, beyond no steering",
    "effect.push.neutral": "compliance when pushed, neutral roles, beyond random directions",
    "effect.push.neutral.unsteered": "compliance when pushed, neutral roles, beyond no steering",
    "effect.undo": "compliance taken away under compliant instructions, beyond random directions",
    "effect.undo.unsteered": "compliance taken away under compliant instructions, beyond no steering",
    "effect.told": "compliance under compliant instructions, beyond their opposites",
}
"""Changes since an earlier study in words; the others go by the name of their metric."""


def gate_headline(summary: Summary) -> Headline:
    """The verdict and what it rests on. Raises DataError where the summary is not of the study's form."""

    def read() -> Headline:
        verdict = summary["verdict"]
        points = [*verdict["reasons"], *([summary["against"]["sentence"]] if "against" in summary else [])]
        return Headline(str(verdict["sentence"]), TONES[verdict["answer"]], tuple(map(str, points)))

    return _read(read)


def gate_sections(summary: Summary) -> tuple[Section, ...]:
    """From the summary of `gate`. Raises DataError where it is not of that form."""

    def read() -> tuple[Section, ...]:
        against = (_against(summary),) if "against" in summary else ()
        return (
            *against,
            _doses(summary),
            _undo(summary),
            _downstream(summary),
            _cosines(summary),
            _places(summary),
        )

    return _read(read)


def _read(build: Callable[[], T]) -> T:
    try:
        return build()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"the summary of the gating study is not of this version's form: {error!r}; run the same command again, "
            "which continues from what it kept, or with another --out where it refuses."
        ) from error


def _estimate(summary: Summary, name: str) -> Estimate:
    return read_estimate(name, summary["metrics"][name], "this study")


def _rates(summary: Summary, name: str, outcomes: Sequence[str] = OUTCOMES) -> tuple[Entry, ...]:
    return tuple(Number(_estimate(summary, f"{name}.{outcome}"), percent=True) for outcome in outcomes)


def _benign_rates(summary: Summary, name: str) -> tuple[Entry, ...]:
    return _rates(summary, name, BENIGN_OUTCOMES)


def _doses(summary: Summary) -> Section:
    place = summary["place"]
    chosen = next(each["key"] for each in summary["doses"] if each["dose"] == place["dose"])
    rows = [
        (CONTEXTS[context], ARMS[arm], *_rates(summary, f"dose.{arm}.{chosen}.{context}"))
        for context in summary["contexts"]
        for arm in summary["arms"]
    ]
    unsteered = [(CONTEXTS[c], "not steered", *_rates(summary, f"base.{c}")) for c in summary["contexts"]]
    benign = [
        ("not steered", *_benign_rates(summary, "base.benign")),
        *((ARMS[arm], *_benign_rates(summary, f"dose.{arm}.{chosen}.benign")) for arm in summary["arms"]),
    ]
    plots = [
        _dose_plot(summary, context, "complied", f"{CONTEXTS[context]}: harmful requests complied with")
        for context in summary["contexts"]
    ]
    plots += [
        _dose_plot(summary, context, "degenerate", f"{CONTEXTS[context]}: answers that are no language")
        for context in summary["contexts"]
    ]
    plots.append(_dose_plot(summary, "benign", "refused", "Benign requests refused"))
    return Section(
        "gate-doses",
        "Dose and response",
        f"Directions of one length are added at the input of layer {place['layer']} (of {place['depth']}, counted "
        "from 0), at all positions. Place and dose were chosen on other requests. Random directions are counted "
        "together. Text that is no language is a class of its own and never compliance. Answers of unknown harm count "
        "as not refused, and neither as complied with nor as harmless. Intervals are 95 %, clustered by request.",
        tables=(
            Table(
                f"Harmful requests at the chosen dose, {place['dose']:g}",
                ("Context", "Added", *HARMFUL_COLUMNS),
                tuple(unsteered + rows),
            ),
            Table(f"Benign requests at the same dose, {place['dose']:g}", ("Added", *BENIGN_COLUMNS), tuple(benign)),
        ),
        plots=tuple(plots),
    )


def _dose_plot(summary: Summary, group: str, outcome: str, title: str) -> Plot:
    def point(arm: str, dose: float, name: str) -> Point:
        estimate = _estimate(summary, name)
        return Point(dose, estimate.value, estimate.ci95 if arm in WITH_INTERVALS else None)

    def line(arm: str) -> Series:
        points = [point(arm, 0.0, f"base.{group}.{outcome}")]
        points += [point(arm, each["dose"], f"dose.{arm}.{each['key']}.{group}.{outcome}") for each in summary["doses"]]
        return Series(ARMS[arm], tuple(points))

    return Plot(
        title,
        x_label="dose (times the persona vector's length)",
        y_label=outcome,
        series=tuple(line(arm) for arm in summary["arms"]),
        y_percent=True,
        band=True,
        caption="Bands are 95 % intervals, drawn for the persona and the random directions. "
        f"Dose 1 is {summary['doses'][0]['push'] / summary['doses'][0]['dose']:.2f} of the activations' length.",
    )


def _xy(summary: Summary, name: str) -> tuple[float | None, tuple[float, float] | None]:
    estimate = _estimate(summary, name)
    return estimate.value, estimate.ci95


def _undo(summary: Summary) -> Section:
    rows: list[tuple[Entry, ...]] = [
        ("opposite instructions", *_rates(summary, "base.opposite")),
        ("compliant instructions", *_rates(summary, "base.compliant")),
        ("compliant instructions, persona vector subtracted", *_rates(summary, "undo.persona.compliant")),
        ("compliant instructions, random directions subtracted", *_rates(summary, "undo.random.compliant")),
    ]
    benign: list[tuple[Entry, ...]] = [
        ("compliant instructions", *_benign_rates(summary, "base.benign_compliant")),
        ("compliant instructions, persona vector subtracted", *_benign_rates(summary, "undo.persona.benign_compliant")),
        (
            "compliant instructions, random directions subtracted",
            *_benign_rates(summary, "undo.random.benign_compliant"),
        ),
    ]
    return Section(
        "gate-undo",
        "Under the instructions themselves",
        "What compliant instructions do when nothing is steered, and whether taking the persona vector away (once, at "
        "the same layer) brings refusal back. Differences hold for these instructions.",
        tables=(
            Table("Harmful requests", ("Condition", *HARMFUL_COLUMNS), tuple(rows)),
            Table("Benign requests", ("Condition", *BENIGN_COLUMNS), tuple(benign)),
        ),
    )


def _downstream(summary: Summary) -> Section:
    columns = ("Layer", "Done there", *HARMFUL_COLUMNS)
    knocked: list[tuple[Entry, ...]] = [
        ("", "not steered", *_rates(summary, "unsteered")),
        ("", "steered, nothing else", *_rates(summary, "steered")),
    ]
    for layer in summary["knockout_layers"]:
        knocked.append((str(layer), "persona knocked out", *_rates(summary, f"knockout.layer{layer}.persona")))
        knocked.append((str(layer), "random knocked out", *_rates(summary, f"knockout.layer{layer}.random")))
    tables = [
        Table(
            "Knockout behind the injection",
            columns,
            tuple(knocked),
            caption="The component along the direction is taken out of one later layer's input. Not at the layer of "
            "injection: there it would only take the injection back.",
        )
    ]
    plots: list[Plot] = []
    sides = summary["restore_layers"]
    if sides is None:
        lead = f"The refusal direction could not be found: {summary['material']['refusal']['why']}"
    else:
        for each in summary["restore_doses"]:
            tables.append(_restored(summary, each["dose"], each["key"]))
            plots.append(_restore_plot(summary, [*sides["early"], *sides["late"]], each["dose"], each["key"]))
        refusal = summary["material"]["refusal"]
        lead = (
            "What happens behind the layer at which the persona is added, with both contexts together. The refusal "
            f"direction (read at {refusal['position']}, layer {refusal['layer']}) is added at each layer in proportion "
            "to the activations there."
        )
        relaxed = refusal["relaxed"]
        if relaxed:
            lead += f" It does not meet the published limits: {'; '.join(relaxed)}."
    return Section("gate-downstream", "Knockout and restoration", lead, tuple(tables), tuple(plots))


def _restored(summary: Summary, dose: float, key: str) -> Table:
    rows: list[tuple[Entry, ...]] = []
    for side in ("early", "late"):
        for layer in summary["restore_layers"][side]:
            for arm in ("refusal", "random"):
                name = f"restore.{key}.layer{layer}.{arm}"
                benign = Number(_estimate(summary, f"{name}.benign.refused"), percent=True)
                rows.append((str(layer), f"{arm} added, {side}", *_rates(summary, name), benign))
    said = []
    for side in ("early", "late"):
        name = f"restore.{key}.{side}.gap"
        value = _estimate(summary, name).value if name in summary["metrics"] else None
        if value is not None:
            said.append(f"{side} {number(value, percent=True, signed=True)}")
    return Table(
        f"The refusal direction against the persona, dose {dose:g}",
        ("Layer", "Done there", *HARMFUL_COLUMNS, "benign refused"),
        tuple(rows),
        caption=f"Refusal beyond random directions of its length: {', '.join(said)}." if said else "",
    )


def _restore_plot(summary: Summary, layers: Sequence[int], dose: float, key: str) -> Plot:
    lines = (
        ("refusal", "refused", "refusal direction, harmful requests"),
        ("random", "refused", "random directions, harmful requests"),
        ("refusal", "benign.refused", "refusal direction, benign requests"),
    )
    return Plot(
        f"Refusal brought back, by the layer of addition, dose {dose:g}",
        x_label=f"layer (the persona is added at {summary['place']['layer']})",
        y_label="refused",
        series=tuple(
            Series(
                name,
                tuple(
                    Point(float(layer), *_xy(summary, f"restore.{key}.layer{layer}.{arm}.{outcome}"))
                    for layer in layers
                ),
            )
            for arm, outcome, name in lines
        ),
        y_percent=True,
    )


def _cosines(summary: Summary) -> Section:
    pairs = {
        "persona_refusal": "persona and refusal",
        "persona_axis": "persona and Assistant axis",
        "refusal_axis": "refusal and Assistant axis",
    }
    plot = Plot(
        "Cosines by layer",
        x_label="layer",
        y_label="cosine",
        series=tuple(
            Series(name, tuple(Point(float(row["layer"]), row[key]) for row in summary["cosines"]))
            for key, name in pairs.items()
        ),
        caption=f"Persona at {summary['place']['position']}, refusal at the prompt's last token, axis over the "
        "answers. The axis points towards the Assistant.",
    )
    return Section("gate-cosines", "How the directions lie", "", plots=(plot,))


def _places(summary: Summary) -> Section:
    rows: list[tuple[Entry, ...]] = [
        (
            each["position"],
            str(each["layer"]),
            f"{each['dose']:g}",
            f"{each['push']:.2f}",
            number(each["bypass"], percent=True),
            "not needed" if each["random"] is None else number(each["random"], percent=True),
            number(each["unreadable"], percent=True),
        )
        for each in summary["searched"][:MOST_PLACES]
    ]
    persona = summary["material"]["persona"]
    lead = {
        "judged": "The persona vector comes from answers that show the trait against answers that show its opposite.",
        "instructed": "Instructions hardly bring the trait out, so the persona vector is that between the "
        "instructions, whatever was answered, lengthened where it was short.",
        "given": "The persona vector was given.",
    }[persona["how"]]
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in persona["counts"].items())
    return Section(
        "gate-places",
        "Where was searched",
        f"{lead} ({counts}.) The first place is the chosen one. Random directions were tried from the largest "
        "bypass down, until no other place could be better.",
        tables=(
            Table(
                f"{min(MOST_PLACES, len(rows))} of {len(summary['searched'])} places and doses, on search requests",
                ("Read at", "Layer", "Dose", "Of activations' length", "Bypass", "Random", "Unreadable"),
                tuple(rows),
            ),
        ),
    )


def _against(summary: Summary) -> Section:
    """What changed since the earlier study, by the names of the metrics that changed."""
    against = summary["against"]
    rows: list[tuple[Entry, ...]] = [
        (EFFECTS.get(name, name), Number(read_estimate(name, entry, "the comparison"), percent=True, signed=True))
        for name, entry in against["changes"].items()
    ]
    lead = (
        f"This study less that in {against['with']}, answer by answer, with 95 % intervals clustered by request. "
        "Persona direction, place, dose and random directions are the earlier study's; the refusal direction is each "
        "study's own."
    )
    if against["left_out"]:
        lead += f" Not in both, and left out: {', '.join(against['left_out'])}."
    reasons = tuple((str(reason),) for reason in against["reasons"])
    return Section(
        "gate-against",
        "Against the earlier study",
        lead,
        tables=(
            Table("What the sentence rests on", ("",), reasons),
            Table("What changed", ("Measure", "change"), tuple(rows)),
        ),
        verdict=str(against["sentence"]),
    )
