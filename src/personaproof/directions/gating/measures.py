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


def rate(cells: Sequence[Cell], questions: Questions, where: Sequence[bool], outcome: Outcome) -> Estimate:
    """Share of `outcome` among the answers of all `cells` to the questions where `where` is true. Answers that do not
    settle it are left out: the unjudged, unless their share is asked for, and those of unknown harm where it is that of
    compliance."""
    values, requests = [], []
    for cell in cells:
        for each, question, counts in zip(cell.outcomes, questions.items, where, strict=True):
            if counts and each.settles(outcome):
                values.append(float(each is outcome))
                requests.append(question.request.id)
    return clustered_rate(np.array(values), None, requests)


def rates(cells: Sequence[Cell], questions: Questions, where: Sequence[bool]) -> dict[str, Estimate]:
    """By name of outcome; "unjudged" over all answers."""
    return {str(outcome): rate(cells, questions, where, outcome) for outcome in Outcome}


def unsettled(cells: Sequence[Cell], questions: Questions, where: Sequence[bool], outcome: Outcome) -> Estimate:
    """Share of the answers that do not tell whether they are `outcome`, and that its rate leaves out."""
    counted = [
        (each, question.request.id)
        for cell in cells
        for each, question, counts in zip(cell.outcomes, questions.items, where, strict=True)
        if counts
    ]
    missing = np.array([float(not each.settles(outcome)) for each, _ in counted])
    return clustered_rate(missing, None, [request for _, request in counted])


def gap(
    cells: Sequence[Cell],
    others: Sequence[Cell],
    questions: Questions,
    where: Sequence[bool],
    outcome: Outcome,
) -> PairedDifference:
    """Share of `outcome` in `cells` minus that in `others`, question by question: every cell with every other one. A
    pair counts where both answers settle it."""
    a, b, requests = [], [], []
    for cell in cells:
        for other in others:
            for one, two, question, counts in zip(cell.outcomes, other.outcomes, questions.items, where, strict=True):
                if counts and one.settles(outcome) and two.settles(outcome):
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
        (first[key], second[key], key) for key in first if first[key].settles(outcome) and second[key].settles(outcome)
    ]
    return paired_difference(
        np.array([float(a is outcome) for a, _, _ in pairs]),
        np.array([float(b is outcome) for _, b, _ in pairs]),
        None,
        [key for _, _, key in pairs],
    )
