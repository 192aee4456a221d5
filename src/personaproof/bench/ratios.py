"""Ratios over seeds, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats as scipy_stats

from personaproof.stats.estimate import LEVEL, NO_DATA, Estimate


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
    half = float(scipy_stats.t.ppf(0.5 + level / 2, len(logs) - 1) * logs.std(ddof=1) / math.sqrt(len(logs)))
    return Estimate(math.exp(centre), math.exp(centre - half), math.exp(centre + half), len(logs))


def mean_over_seeds(values: Sequence[float], level: float = LEVEL) -> Estimate:
    """Mean over seeds with Student's t interval; bounds are missing with fewer than two values."""
    if not values:
        return NO_DATA
    centre = float(np.mean(values))
    if len(values) == 1:
        return Estimate(centre, None, None, 1)
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = float(scipy_stats.t.ppf(0.5 + level / 2, len(values) - 1)) * spread
    return Estimate(centre, centre - half, centre + half, len(values))
