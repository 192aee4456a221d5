"""The decision position, found from data: where refusing and complying answers first part.

In character a refusal often comes after a style opener ("Arr! I can't ..."), and until then nothing is decided. So the
model's own answers show which openings lead to both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from personaproof.core import DataError

UNDECIDED = 0.05
"""An opening is undecided while at least this share of the answers that begin so end each way. Above zero, so that a
single answer judged wrongly does not move the place."""


def decision_indices(answers: Sequence[Sequence[int]], refused: Sequence[bool]) -> list[int | None]:
    """For each answer's tokens, the index of the token that decides: the first one after which (almost) all answers
    that begin like this one ended as it did. Before it, answers of both outcomes read the same.

    None for an answer that stays undecided to its last token: the same words were judged both ways. Raises DataError
    where fewer than `UNDECIDED` of all answers are of one outcome, so that there is nothing to part from.
    """
    counts: dict[bool, Counter[tuple[int, ...]]] = {True: Counter(), False: Counter()}
    for answer, outcome in zip(answers, refused, strict=True):
        counts[outcome].update(tuple(answer[:k]) for k in range(len(answer) + 1))

    def undecided(opening: tuple[int, ...]) -> bool:
        ways = [counts[True][opening], counts[False][opening]]
        return min(ways) >= UNDECIDED * sum(ways) and min(ways) > 0

    if not undecided(()):
        n = sum(refused)
        raise DataError(
            f"of {len(refused)} answers {n} refuse and {len(refused) - n} comply: too one-sided to find where the "
            "decision falls. Give requests, or personas, that bring out both."
        )
    return [
        next((k - 1 for k in range(1, len(answer) + 1) if not undecided(tuple(answer[:k]))), None) for answer in answers
    ]
