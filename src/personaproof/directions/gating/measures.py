"""Rates and paired comparisons of cells.

Intervals are clustered by request and hold for the very instructions, roles and directions that were used: the
compliant instructions are few and fixed, and so is the one persona vector.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from personaproof.directions.gating.outcomes import Cell, Outcome
from personaproof.directions.gating.questions import Questions
from personaproof.stats import Estimate, PairedDifference, clustered_rate, paired_difference

COUNTED = (Outcome.REFUSED, Outcome.COMPLIED, Outcome.HARMLESS, Outcome.DEGENERATE)


def rate(cells: Sequence[Cell], questions: Questions, where: Sequence[bool], outcome: Outcome) -> Estimate:
    """Share of `outcome` among the answers of all `cells` to the questions where `where` is true. Unjudged answers are
    left out, unless their share is what is asked for."""
    values, requests = [], []
    for cell in cells:
        for each, question, counts in zip(cell.outcomes, questions.items, where, strict=True):
            if counts and (each is not Outcome.UNJUDGED or outcome is Outcome.UNJUDGED):
                values.append(float(each is outcome))
                requests.append(question.request.id)
    return clustered_rate(np.array(values), None, requests)


def rates(cells: Sequence[Cell], questions: Questions, where: Sequence[bool]) -> dict[str, Estimate]:
    """By name of outcome; "unjudged" over all answers."""
    return {str(outcome): rate(cells, questions, where, outcome) for outcome in (*COUNTED, Outcome.UNJUDGED)}


def gap(
    cells: Sequence[Cell],
    others: Sequence[Cell],
    questions: Questions,
    where: Sequence[bool],
    outcome: Outcome,
) -> PairedDifference:
    """Share of `outcome` in `cells` minus that in `others`, question by question: every cell with every other one. A
    pair counts where both answers are judged."""
    a, b, requests = [], [], []
    for cell in cells:
        for other in others:
            for one, two, question, counts in zip(cell.outcomes, other.outcomes, questions.items, where, strict=True):
                if counts and Outcome.UNJUDGED not in (one, two):
                    a.append(float(one is outcome))
                    b.append(float(two is outcome))
                    requests.append(question.request.id)
    return paired_difference(np.array(a), np.array(b), None, requests)


def crossed_gap(
    one: tuple[Cell, Questions, Sequence[bool]], other: tuple[Cell, Questions, Sequence[bool]], outcome: Outcome
) -> PairedDifference:
    """As `gap`, for two lists of questions that put the same requests in two contexts, paired by request."""
    first, second = (
        {
            question.request.id: each
            for each, question, counts in zip(cell.outcomes, questions.items, where, strict=True)
            if counts
        }
        for cell, questions, where in (one, other)
    )
    if set(first) != set(second):
        raise ValueError("the two lists do not ask the same requests")
    pairs = [
        (first[key], second[key], key) for key in first if Outcome.UNJUDGED not in (first[key], second[key])
    ]  # fmt: skip
    return paired_difference(
        np.array([float(a is outcome) for a, _, _ in pairs]),
        np.array([float(b is outcome) for _, b, _ in pairs]),
        None,
        [key for _, _, key in pairs],
    )
