"""Rates and paired comparisons of cells.

Intervals are clustered by request and hold for the very instructions, roles and directions that were used: the
compliant instructions are few and fixed, and so is the one persona vector.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from personaproof.directions.gating.outcomes import Cell, Outcome
from personaproof.directions.gating.questions import Questions
from personaproof.stats import Estimate, PairedDifference, clustered_mean, clustered_rate, paired_difference


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


Pairs = Sequence[tuple[Outcome, Outcome, str]]
"""Two answers to one request, and the request."""


def pairs(cells: Sequence[Cell], others: Sequence[Cell], questions: Questions, where: Sequence[bool]) -> Pairs:
    """Question by question, every cell with every other one."""
    return [
        (one, two, question.request.id)
        for cell in cells
        for other in others
        for one, two, question, counts in zip(cell.outcomes, other.outcomes, questions.items, where, strict=True)
        if counts
    ]


def crossed_pairs(one: tuple[Cell, Questions, Sequence[bool]], other: tuple[Cell, Questions, Sequence[bool]]) -> Pairs:
    """Of two lists of questions that put the same requests in two contexts, paired by request."""
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
    return [(first[key], second[key], key) for key in first]


def difference(found: Pairs, outcome: Outcome) -> PairedDifference:
    """Share of `outcome` on the first side minus that on the second. A pair counts where both answers settle it."""
    counted = [each for each in found if each[0].settles(outcome) and each[1].settles(outcome)]
    return paired_difference(
        np.array([float(one is outcome) for one, _, _ in counted]),
        np.array([float(two is outcome) for _, two, _ in counted]),
        None,
        [request for _, _, request in counted],
    )


def gap(
    cells: Sequence[Cell],
    others: Sequence[Cell],
    questions: Questions,
    where: Sequence[bool],
    outcome: Outcome,
) -> PairedDifference:
    """Share of `outcome` in `cells` minus that in `others`."""
    return difference(pairs(cells, others, questions, where), outcome)


def change(after: Pairs, before: Pairs, outcome: Outcome) -> Estimate:
    """The difference in `after` minus the difference in `before`, of the same pairs in two studies; those count whose
    four answers all settle it.

    Two intervals are taken, and of each end the outer one: the clustered t interval of the changes pair by pair, which
    knows how the two studies go together, and has no width where every pair changes alike; and the square-and-add join
    of the two differences (Zou & Donner 2008), which always has a width, and takes them to be independent. Raises
    ValueError where the pairs are not of the same requests.
    """
    if [request for *_, request in after] != [request for *_, request in before]:
        raise ValueError("the two studies do not pair the same requests")
    both = [
        (late, early)
        for late, early in zip(after, before, strict=True)
        if all(each.settles(outcome) for each in (*late[:2], *early[:2]))
    ]
    values = [
        float(late[0] is outcome) - (late[1] is outcome) - (early[0] is outcome) + (early[1] is outcome)
        for late, early in both
    ]
    mean = clustered_mean(np.array(values), None, [late[2] for late, _ in both])
    now, then = (difference([pair[side] for pair in both], outcome).difference for side in (0, 1))
    if mean.value is None or now.value is None or now.low is None or now.high is None:
        return mean
    if then.value is None or then.low is None or then.high is None:
        return mean
    low = mean.value - math.hypot(now.value - now.low, then.high - then.value)
    high = mean.value + math.hypot(now.high - now.value, then.value - then.low)
    ends = [each for each in (low, high, mean.low, mean.high) if each is not None]
    return Estimate(mean.value, max(-2.0, min(ends)), min(2.0, max(ends)), mean.n)
