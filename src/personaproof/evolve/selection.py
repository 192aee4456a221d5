"""Who becomes a parent and who is an elite. Scores are arrays over the whole lineage; ties break by persona id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personaproof.evolve.lineage import Counts, Lineage

Scores = NDArray[np.float64]


def ratio_asr(counts: Counts) -> Scores:
    """S / E of each row of (S, R, E); NaN where E is 0, since nothing judged is no rate at all."""
    judged = counts[:, 2]
    rates: Scores = np.full(len(counts), np.nan)
    np.divide(counts[:, 0], judged, out=rates, where=judged > 0)
    return rates


def reference_scores(totals: Counts, exploration: float) -> Scores:
    """Propagated ASR + c sqrt(2 ln N / (E_total + 1)), with N the number of personas and E_total the judged requests
    of a persona and, credited, of its descendants (the published PLE selection). NaN where nothing was judged."""
    if not len(totals):
        return np.empty(0)
    bonus: Scores = np.sqrt(2 * np.log(len(totals)) / (totals[:, 2] + 1))
    return ratio_asr(totals) + exploration * bonus


def top_k(scores: Scores, ids: Sequence[str], k: int) -> list[int]:
    """Indices of the `k` best scores, best first, equal scores by id; NaN is never chosen. O(n + k log k)."""
    ranked = np.flatnonzero(~np.isnan(scores))
    if k <= 0 or not len(ranked):
        return []
    if len(ranked) > k:
        # Everything equal to the k-th best stays in, so that the cut among ties is by id and not by position.
        threshold = np.partition(scores[ranked], len(ranked) - k)[len(ranked) - k]
        ranked = ranked[scores[ranked] >= threshold]
    return sorted((int(i) for i in ranked), key=lambda i: (-scores[i], ids[i]))[:k]


def select_parents(lineage: Lineage, k: int, exploration: float, min_judged: int) -> list[str]:
    """The `k` best personas by reference score among those with at least `min_judged` judged requests of their own."""
    scores = reference_scores(lineage.totals, exploration)
    return [lineage.ids[i] for i in top_k(scored_only(scores, lineage, min_judged), lineage.ids, k)]


def scored_only(scores: Scores, lineage: Lineage, min_judged: int) -> Scores:
    """`scores` with NaN for personas that have fewer than `min_judged` judged requests of their own."""
    return np.where(lineage.direct[:, 2] >= max(min_judged, 1), scores, np.nan)
