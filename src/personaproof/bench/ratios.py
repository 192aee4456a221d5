"""Ratios over seeds, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from personaproof.stats.estimate import LEVEL, NO_DATA, Estimate
from personaproof.stats.quantiles import student_critical


def geometric_ratio(pairs: Sequence[tuple[float, float]], level: float = LEVEL) -> Estimate:
    """Geometric mean of a / b over seeds, with Student's t interval on the logarithm.

    Each pair comes from one seed, so what a seed does to both cancels. Bounds are missing with fewer than two pairs,
    the value too with none. Raises ValueError for a number that is not positive.
    """
    if any(not (a > 0 and b > 0) for a, b in pairs):
        raise ValueError("a ratio needs positive numbers")
    logs = np.log([a / b for a, b in pairs])
    if not len(logs):
        return NO_DATA
    centre = float(logs.mean())
    if len(logs) == 1:
        return Estimate(math.exp(centre), None, None, 1)
    half = student_critical(len(logs) - 1, level) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half), len(logs))


@dataclass(frozen=True)
class Cost:
    """What one seed took to get somewhere. Not `reached`: it stopped after `calls`, so it would have taken more."""

    calls: float
    reached: bool


def ratio_bounds(pairs: Sequence[tuple[Cost, Cost]]) -> tuple[float | None, float | None]:
    """(at least, at most) for the geometric mean of ours / theirs over all seeds, those included that fell short.

    Where theirs fell short after c calls it would have taken more than c, so that seed's ratio is below ours / c: the
    mean with c in its place is an upper bound, if ours got there in every seed. The lower bound is the mirror image.
    They bound this sample's geometric mean and carry no interval: with costs cut off at a cap the spread over seeds is
    not to be had. None where there is no seed, or where a seed that fell short leaves that side open.
    """
    if not pairs:
        return None, None
    value = geometric_ratio([(ours.calls, theirs.calls) for ours, theirs in pairs]).value
    at_least = value if all(theirs.reached for _, theirs in pairs) else None
    at_most = value if all(ours.reached for ours, _ in pairs) else None
    return at_least, at_most


def mean_over_seeds(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean over seeds with Student's t interval; bounds are missing with fewer than two values."""
    if not values:
        return NO_DATA
    centre = float(np.mean(values))
    if len(values) == 1:
        return Estimate(centre, None, None, 1)
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = student_critical(len(values) - 1, level) * spread
    return Estimate(centre, centre - half, centre + half, len(values))
