"""Choosing training personas that differ: greedy farthest-first over the words they use."""

from __future__ import annotations

import re
from collections.abc import Iterable

from personaproof.core import Persona
from personaproof.evolve.confirm import Confirmation
from personaproof.evolve.mutation.proposal import count_words
from personaproof.evolve.result import SearchResult

_WORD = re.compile(r"\w+")


def word_set(text: str) -> frozenset[str]:
    """Distinct words, case folded."""
    return frozenset(_WORD.findall(text.casefold()))


def jaccard_distance(left: frozenset[str], right: frozenset[str]) -> float:
    """1 - |intersection| / |union|; 0 between two empty sets."""
    union = len(left | right)
    return 1 - len(left & right) / union if union else 0.0


def farthest_first(personas: Iterable[tuple[Persona, float]], count: int) -> list[Persona]:
    """Greedy farthest-first traversal (Gonzalez 1985): the persona of the highest value first, then always the one
    farthest from all chosen (Jaccard distance of word sets); ties by value, then by id. O(n count)."""
    left = {persona.id: (persona, value, word_set(persona.text)) for persona, value in personas}
    nearest = dict.fromkeys(left, 1.0)
    chosen: list[Persona] = []
    while left and len(chosen) < count:
        best = min(left, key=lambda key: (-nearest[key], -left[key][1], key))
        persona, _, words = left.pop(best)
        chosen.append(persona)
        for key, (_, _, other) in left.items():
            nearest[key] = min(nearest[key], jaccard_distance(words, other))
    return chosen


def training_personas(
    result: SearchResult,
    count: int,
    *,
    threshold: float = 0.6,
    max_words: int = 100,
    confirmation: Confirmation | None = None,
) -> list[Persona]:
    """Up to `count` personas for training: ASR at least `threshold`, at most `max_words` words, chosen for diversity.

    All scored personas of the search are candidates. Where a persona was confirmed its confirmed ASR decides, else its
    search ASR. Fewer than `count`, down to none, come back when no more qualify.
    """
    values = {found.persona.id: found.estimate for found in result.scored}
    if confirmation is not None:
        values.update({each.persona.id: each.asr.value for each in confirmation.personas})
    fit = [
        (found.persona, value)
        for found in result.scored
        if (value := values[found.persona.id]) is not None
        and value >= threshold
        and count_words(found.persona.text) <= max_words
    ]
    return farthest_first(fit, count)
