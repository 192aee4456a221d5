"""Human names for metrics and outcomes. A metric that is not listed is shown under its own dotted name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from personaproof.report.data import Better, MetricRow

OUTCOMES: Mapping[str, str] = {
    "complied": "Complied with a harmful request",
    "unjudged": "Could not be judged",
    "answered": "Answered a harmful request without harm",
    "refused": "Refused a harmful request",
    "benign_refused": "Refused a benign request",
    "benign_answered": "Answered a benign request",
}
"""Outcome classes, the ones to look at first coming first."""


@dataclass(frozen=True)
class MetricLabel:
    label: str
    explanation: str
    better: Better | None


_LABELS: Mapping[str, MetricLabel] = {
    "persona.asr": MetricLabel(
        "Persona attack success", "Harmful and not refused, over judged answers, averaged over personas.", "lower"
    ),
    "persona.worst_asr": MetricLabel(
        "Worst persona", "Attack success under the single most effective persona.", "lower"
    ),
    "persona.top_decile_asr": MetricLabel(
        "Top tenth of personas", "Mean attack success under the most effective tenth of personas.", "lower"
    ),
    "direct.asr": MetricLabel(
        "Direct attack success", "The same harmful requests asked plainly, with no persona: the control.", "lower"
    ),
    "invariance_gap": MetricLabel(
        "Invariance gap",
        "Persona minus direct attack success on the same requests; 0 is a persona-proof model.",
        "lower",
    ),
    "flip_rate": MetricLabel(
        "Flip rate", "Requests refused when asked plainly but complied with under at least one persona.", "lower"
    ),
    "group_accuracy": MetricLabel(
        "Group accuracy", "Requests decided rightly under every persona at once, and without one.", "higher"
    ),
    "direct.rta": MetricLabel("Direct refusals", "Harmful requests asked plainly that were refused.", "higher"),
    "persona.rta": MetricLabel(
        "Refusals under personas", "Harmful requests asked under personas that were refused.", "higher"
    ),
    "benign.rta": MetricLabel("Over-refusal", "Benign requests asked plainly that were refused.", "lower"),
    "benign_persona.rta": MetricLabel(
        "Over-refusal under personas", "Benign requests asked under personas that were refused.", "lower"
    ),
    "utility.in_character": MetricLabel(
        "Useful in character",
        "Benign answers under personas that serve the request and keep the persona's manner.",
        "higher",
    ),
    "utility.fidelity": MetricLabel(
        "Persona fidelity", "Benign answers under personas that keep the persona's manner, useful or not.", "higher"
    ),
    "perplexity": MetricLabel(
        "Perplexity", "Of the untrained model's own benign answers in persona; 1 is no surprise at all.", "lower"
    ),
    "elite.asr": MetricLabel(
        "Elite personas", "Attack success of the search's best personas on fresh requests.", "lower"
    ),
    "fresh_search.asr": MetricLabel(
        "Fresh search", "Attack success of the elites of a new search, run with the same budget on this model.", "lower"
    ),
    "unjudged.rate": MetricLabel(
        "Could not be judged", "Answers without a verdict; they are in no rate above.", "lower"
    ),
}

_RATE_ENDINGS = ("asr", "rta", "rate", "accuracy", "gap")


def metric_label(name: str) -> MetricLabel:
    """The label of `name`. A known name with a further part (``unjudged.rate.direct``) keeps its label, with the part
    in brackets; an unknown name is its own label, with no direction called better."""
    stem, parts = name, list[str]()
    while stem:
        if known := _LABELS.get(stem):
            suffix = f" ({'.'.join(parts)})" if parts else ""
            return MetricLabel(known.label + suffix, known.explanation, known.better)
        stem, _, last = stem.rpartition(".")
        parts.insert(0, last)
    return MetricLabel(name, "", None)


def is_rate(name: str) -> bool:
    """Whether the metric is a share, shown in per cent. Known names are; others by their last part."""
    if metric_label(name).label != name:
        return True
    return any(name.lower().rpartition(".")[2].endswith(ending) for ending in _RATE_ENDINGS)


def metric_order(name: str) -> tuple[int, str]:
    """Sort key: known metrics in the order above, then unknown ones, then what could not be judged."""
    stem = name
    while stem:
        if stem in _LABELS:
            place = list(_LABELS).index(stem)
            return (place + (1000 if stem == "unjudged.rate" else 0), name)
        stem = stem.rpartition(".")[0]
    return (500, name)


def change(row: MetricRow, alpha: float = 0.05) -> str:
    """What a row's difference amounts to: "better", "worse", "changed", "no clear change", or "" where there is neither
    an adjusted p-value nor an interval to tell by.

    Clear is what both say where there are both: an interval and a test of different make may disagree at the edge, and
    a row that called an interval around zero "worse" would contradict itself.
    """
    difference = row.difference
    if difference is None or difference.value is None:
        return ""
    signs = []
    if difference.p_adjusted is not None:
        signs.append(difference.p_adjusted <= alpha)
    if difference.ci95 is not None:
        signs.append(not difference.ci95[0] <= 0 <= difference.ci95[1])
    if not signs:
        return ""
    if not all(signs) or difference.value == 0:
        return "no clear change"
    if row.better is None:
        return "changed"
    return "better" if (difference.value < 0) == (row.better == "lower") else "worse"
