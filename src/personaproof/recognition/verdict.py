"""Is the Assistant the reference by which this model tells its own texts? In words, with the numbers behind them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from personaproof.recognition.analysis import LEAST_EVALUATORS, PREDICTORS, Analysis
from personaproof.stats import Estimate

Answer = Literal["privileged", "not privileged", "undecided", "unanswered"]
OTHERS = ("symmetric", "plain")
"""What the asymmetric gap has to beat."""
NEAR_BEST = 0.1
"""The Assistant is near-best where at most this share of the references is better, or only the best of few."""
SENTENCES: dict[Answer, str] = {
    "privileged": "The Assistant is the privileged reference here: far from it, personas claim a text by how much "
    "likelier they are to write it than the Assistant is.",
    "not privileged": "The Assistant is not the privileged reference here: far from it, another measure predicts what "
    "personas claim at least as well.",
    "undecided": "Whether the Assistant is the privileged reference cannot be told from these texts: the intervals "
    "leave both open.",
    "unanswered": "Whether the Assistant is the privileged reference cannot be told here: too few of the personas far "
    "from it answer the question about authorship at all, or their claims never vary.",
}
BACKWARDS = (
    "The Assistant is not the privileged reference here: far from it, personas claim a text the less, the likelier "
    "they are to write it than the Assistant is."
)


@dataclass(frozen=True)
class Verdict:
    answer: Answer
    sentence: str
    points: tuple[str, ...]


def near_best(personas: int) -> int:
    """The last rank among so many references that counts as near-best."""
    return max(1, math.ceil(NEAR_BEST * personas))


def decide(analysis: Analysis) -> Answer:
    """privileged: over far evaluators the asymmetric gap's mean r is above zero, above the symmetric gap's and above
    plain surprise's, each by its whole interval, and the Assistant is best or near-best among all references.
    not privileged: one of these is contradicted by a whole interval. Otherwise undecided; unanswered where fewer than
    three far evaluators answer, or are there."""
    asymmetric = analysis.mean(analysis.of_predictor("asymmetric"), "far")
    if asymmetric.n < LEAST_EVALUATORS:
        return "unanswered"
    if _below_zero(asymmetric) or _is_beaten(analysis):
        return "not privileged"
    rank, limit = analysis.assistant_rank("far"), near_best(len(analysis.matrices.names))
    tests = (asymmetric, *_gains(analysis))
    if all(test.low is not None and test.low > 0 for test in tests) and rank.value is not None and rank.value <= limit:
        return "privileged"
    return "undecided"


def verdict(analysis: Analysis) -> Verdict:
    """The decision with what it rests on."""
    answer, names = decide(analysis), analysis.matrices.names
    evaluators = range(1, len(names))
    answering = [e for e in evaluators if e in analysis.answering]
    points = [
        f"{len(answering)} of {len(names) - 1} personas give one of the two answers more often than not"
        + (f": {', '.join(names[e] for e in answering)}." if 0 < len(answering) < len(names) - 1 else ".")
    ]
    if answer == "unanswered":
        shown = _means(analysis, "any")
        points.append(f"With all personas taken at what they say, mean r is {shown}: no basis for a verdict.")
    else:
        points.append(f"Over the personas far from the Assistant, mean r with claims is {_means(analysis, 'far')}.")
        for other, gain in zip(OTHERS, _gains(analysis), strict=True):
            points.append(f"The asymmetric gap's mean r is {told(gain, signed=True)} against the {_spoken(other)}'s.")
        points.append(f"As a reference the Assistant has rank {told(analysis.assistant_rank('far'))} of {len(names)}.")
    row = analysis.assistant_row()
    points.append(
        f"In the Assistant's own row, claims go with the writer's distance at r {told(row['information'])} in "
        f"information and {told(row['activation'])} in activations, and with the log-likelihood ratio at r "
        f"{told(row['ratio'])}."
    )
    return Verdict(answer, _sentence(analysis, answer), tuple(points))


def told(estimate: Estimate, *, signed: bool = False) -> str:
    """A number with its interval, or that there is none."""
    if estimate.value is None:
        return "undefined"

    def form(value: float) -> str:
        # Adding zero turns a rounded -0.0 into 0.0.
        rounded = round(value, 2) + 0.0
        return f"{rounded:+.2f}" if signed and rounded else f"{rounded:.2f}"

    if estimate.low is None or estimate.high is None:
        return form(estimate.value)
    return f"{form(estimate.value)} ({form(estimate.low)} to {form(estimate.high)})"


def _sentence(analysis: Analysis, answer: Answer) -> str:
    far, everyone = len(analysis.bands["far"]), len(analysis.matrices.names) - 1
    if answer == "unanswered" and far < LEAST_EVALUATORS:
        return (
            "Whether the Assistant is the privileged reference cannot be told from so small a panel: only "
            f"{far} of its {everyone} personas count as far from it, and {LEAST_EVALUATORS} are the least; "
            f"{LEAST_EVALUATORS * analysis.number_of_bands} personas have as many."
        )
    if answer == "not privileged" and not _is_beaten(analysis):
        return BACKWARDS
    return SENTENCES[answer]


def _is_beaten(analysis: Analysis) -> bool:
    """Whether, by a whole interval, another measure predicts claims better or too many personas do as references."""
    rank = analysis.assistant_rank("far")
    beaten = rank.low is not None and rank.low > near_best(len(analysis.matrices.names))
    return beaten or any(map(_below_zero, _gains(analysis)))


def _gains(analysis: Analysis) -> list[Estimate]:
    """How much larger the asymmetric gap's mean r is than those of `OTHERS`, over far evaluators."""
    asymmetric = analysis.of_predictor("asymmetric")
    return [analysis.gain(asymmetric, analysis.of_predictor(other), "far") for other in OTHERS]


def _below_zero(estimate: Estimate) -> bool:
    return estimate.high is not None and estimate.high < 0


def _means(analysis: Analysis, band: str) -> str:
    parts = [f"{told(analysis.mean(analysis.of_predictor(name), band))} for the {_spoken(name)}" for name in PREDICTORS]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def _spoken(predictor: str) -> str:
    return {"asymmetric": "asymmetric gap", "symmetric": "symmetric gap", "plain": "plain surprise"}[predictor]
