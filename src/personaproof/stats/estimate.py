"""A number with its interval and its sample size, and the binomial interval everything here builds on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from personaproof.stats.quantiles import normal_critical

LEVEL = 0.95
"""Confidence of every interval that is reported (the "ci95" of a summary)."""


@dataclass(frozen=True)
class Estimate:
    """`n` counts the observations behind `value`. `value` is None only where n is 0; the interval is None there too,
    and where n is too small for a spread to be seen (a mean of one real number)."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __post_init__(self) -> None:
        if (self.value is None) != (self.n == 0):
            raise ValueError(f"an estimate has a value exactly where n > 0: {self}")
        if (self.low is None) != (self.high is None) or (self.value is None and self.low is not None):
            raise ValueError(f"an interval has two ends and needs a value: {self}")
        if (
            self.value is not None
            and self.low is not None
            and self.high is not None
            and not self.low <= self.value <= self.high
        ):
            raise ValueError(f"an interval holds its value: {self}")

    def as_json(self) -> dict[str, Any]:
        """The form metrics take in summary.json."""
        interval = None if self.low is None else [self.low, self.high]
        return {"value": self.value, "ci95": interval, "n": self.n}


NO_DATA = Estimate(None, None, None, 0)


def wilson_bounds(rate: float, n: float, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's (1927) score interval of a proportion `rate` seen in `n` observations; `n` > 0 may be fractional, as
    effective sample sizes are. Stays within [0, 1], holds `rate`, and has positive width even at 0 and 1."""
    z2 = normal_critical(level) ** 2
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (rate * (1 - rate) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # The ends at 0 and 1 are exact in theory; rounding must not push them past the rate.
    return max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half))


def wilson(successes: int, n: int, level: float = LEVEL) -> Estimate:
    """A proportion of independent trials with Wilson's interval. Raises ValueError unless 0 <= successes <= n."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes in {n} trials")
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, not {level}")
    if n == 0:
        return NO_DATA
    rate = successes / n
    return Estimate(rate, *wilson_bounds(rate, n, level), n)
