"""How different the elites are, and choosing training personas that differ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from personaproof.core import Persona, normalise_text
from personaproof.evolve.archive import Archive
from personaproof.evolve.confirm import Confirmation
from personaproof.evolve.descriptors import AXES, counts, describe
from personaproof.evolve.mutation.proposal import count_words
from personaproof.evolve.regions import Embed, Regions
from personaproof.evolve.result import SearchResult
from personaproof.evolve.similarity import TfIdf

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


def diversity_summary(
    elites: Mapping[str, float], everyone: Sequence[str], embed: Embed | None = None
) -> dict[str, Any]:
    """How different the elites of a search are, as JSON values for ``searches.<name>.diversity`` of summary.json.

    `elites` maps texts to the ASR that the search estimates, `everyone` (the whole lineage) are texts; each text counts
    once, with the highest of its values. Regions are clusters of all of them,
    and similarities are cosines of TF-IDF vectors with the document frequencies of all of them:

    - ``cells``: cells of the archive that hold an elite; ``reachable_cells``: those that hold any persona;
      ``coverage``: the first over the second; ``qd_score``: sum over cells of the best elite's value, which like the
      values themselves was selected on.
    - ``mean_similarity``: mean over pairs of elites; ``mean_similarity_all``: of everyone, to compare with;
      ``nearest_similarity``: mean over elites of the similarity to the elite most like it. One failure reworded shows
      in the last even where the first is low.
    - ``counts``: by axis and value, ``elites`` and ``personas``; ``regions``: the words that mark each region (empty
      with `embed`, see `Regions`).

    A number that cannot be had (no elite, no pair) is None. Neither order nor repetition of texts changes the result.
    """
    values: dict[str, float] = {}
    for text, value in elites.items():
        read = normalise_text(text)
        values[read] = max(value, values.get(read, value))
    best = sorted(values)
    everybody = sorted({normalise_text(text) for text in everyone} | set(best))
    regions = Regions.fit(everybody, embed=embed) if everybody else None
    of_best, of_all = describe(best, regions), describe(everybody, regions)
    archive = Archive.of(values, {text: each.cell for text, each in zip(everybody, of_all, strict=True)})
    model = TfIdf(everybody) if everybody else None
    among_best, among_all = counts(of_best), counts(of_all)
    return {
        "axes": list(AXES),
        "elites": len(best),
        "personas": len(everybody),
        "cells": len(archive.elites),
        "reachable_cells": archive.reachable,
        "coverage": archive.coverage if everybody else None,
        "qd_score": archive.qd_score,
        "mean_similarity": model.mean_pairwise(best) if model else None,
        "mean_similarity_all": model.mean_pairwise(everybody) if model else None,
        "nearest_similarity": float(model.nearest(best).mean()) if model and len(best) > 1 else None,
        "counts": {
            axis: {
                value: {"elites": among_best[axis][value], "personas": among_all[axis][value]}
                for value in sorted(among_all[axis])
            }
            for axis in AXES
        },
        "regions": [list(terms) for terms in regions.terms] if regions else [],
    }
