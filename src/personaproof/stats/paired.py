"""Did a rate change? Comparisons of two arms on the same trials."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from personaproof.stats.clusters import Clusters, Floats, Ids, arrange
from personaproof.stats.estimate import NO_DATA, Estimate, wilson_bounds
from personaproof.stats.quantiles import fair_two_sided, student_two_sided
from personaproof.stats.rates import check_binary, effective_size


@dataclass(frozen=True)
class PairedDifference:
    """Rate of arm a minus rate of arm b. `only_a` and `only_b` count the trials where one arm alone had the outcome."""

    difference: Estimate
    p_value: float | None
    """Two-sided, of no difference; None where there is no trial."""
    only_a: int
    only_b: int


def paired_difference(a: ArrayLike, b: ArrayLike, persona_ids: Ids, request_ids: Ids) -> PairedDifference:
    """Difference of two rates over the same trials (0/1 outcomes, shape [n] each, pair i being the same trial), robust
    to clustering by persona and by request.

    The difference is that of two exclusive rates, "only a" minus "only b". Its interval joins their clustered Wilson
    intervals with the square-and-add rule (Newcombe 1998; Zou & Donner 2008) and their clustered correlation, so it
    stays within [-1, 1] and keeps a positive width where no trial differs.

    The p-value is the largest of three, for a clustered t test alone is too eager where few trials differ: that test,
    with (smaller cluster count - 1) degrees of freedom; McNemar's exact one, as if trials were independent; and the
    smallest that flipping the signs of whole clusters can give, 2^(1 - clusters that differ). Raises ValueError for
    unequal lengths or values other than 0 and 1.
    """
    (first, second), clusters = arrange([a, b], persona_ids, request_ids)
    check_binary(first)
    check_binary(second)
    n = len(first)
    if not n:
        return PairedDifference(NO_DATA, None, 0, 0)
    only_a, only_b = first * (1 - second), second * (1 - first)
    count_a, count_b = int(only_a.sum()), int(only_b.sum())
    difference = (count_a - count_b) / n
    low, high = _square_and_add(only_a, only_b, clusters)
    estimate = Estimate(difference, min(low, difference), max(high, difference), n)
    p_value = _p_value(first - second, clusters, count_a, count_b)
    return PairedDifference(estimate, p_value, count_a, count_b)


def mcnemar(b: int, c: int) -> float:
    """Two-sided p-value of McNemar's exact test for `b` and `c` discordant pairs that are independent of each other;
    where they share personas or requests, use `paired_difference`."""
    if b < 0 or c < 0:
        raise ValueError(f"counts of pairs are not negative: {b}, {c}")
    return 1.0 if b + c == 0 else fair_two_sided(b, b + c)


def _square_and_add(only_a: Floats, only_b: Floats, clusters: Clusters) -> tuple[float, float]:
    """Zou & Donner (2008), equation 5, for the difference of two rates with correlated estimates."""
    rate_a, rate_b = float(only_a.mean()), float(only_b.mean())
    low_a, high_a = wilson_bounds(rate_a, effective_size(only_a, clusters))
    low_b, high_b = wilson_bounds(rate_b, effective_size(only_b, clusters))
    deviations_a, deviations_b = only_a - rate_a, only_b - rate_b
    scale = math.sqrt(clusters.variance(deviations_a) * clusters.variance(deviations_b))
    # Without an event on one side the correlation is unknown. Exclusive outcomes tend to be negatively correlated,
    # and the negative end is the wide one, but between two rates near 0 the link is weak: none is assumed.
    correlation = clusters.covariance(deviations_a, deviations_b)[0] / scale if scale else 0.0
    correlation = min(max(correlation, -1.0), 1.0)

    def join(x: float, y: float) -> float:
        return math.sqrt(max(x * x + y * y - 2 * correlation * x * y, 0.0))

    difference = rate_a - rate_b
    low = difference - join(rate_a - low_a, high_b - rate_b)
    high = difference + join(high_a - rate_a, rate_b - low_b)
    return max(low, -1.0), min(high, 1.0)


def _p_value(differences: Floats, clusters: Clusters, count_a: int, count_b: int) -> float:
    independent = mcnemar(count_a, count_b)
    if independent == 1.0:
        return 1.0
    flips = min((_touched(codes, differences) for codes, _ in clusters.dimensions), default=count_a + count_b)
    exact_floor = min(1.0, 2.0 ** (1 - flips))
    mean = (count_a - count_b) / len(differences)
    error = math.sqrt(clusters.variance(differences - mean))
    clustered = student_two_sided(mean / error, clusters.fewest - 1) if error and clusters.fewest > 1 else 0.0
    return max(independent, exact_floor, clustered)


def _touched(codes: NDArray[np.intp], differences: Floats) -> int:
    """How many clusters hold a trial that differs."""
    return len(np.unique(codes[differences != 0]))
