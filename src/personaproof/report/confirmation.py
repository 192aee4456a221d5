"""What a search believed of its elites, beside what requests it never saw say of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from personaproof.core import DataError
from personaproof.report.build import read_rate
from personaproof.report.data import Difference, Estimate

_ROUNDING = 1e-9
"""How far beyond 0 or 1 a mean of probabilities may end in floating point."""


@dataclass(frozen=True)
class ConfirmedElite:
    """`estimate` is the search's own ASR, selected on; None where it had too little to go by."""

    text: str
    estimate: float | None
    confirmed: Estimate

    @property
    def below(self) -> bool:
        """Whether the whole confirmed interval lies below the estimate."""
        return self.estimate is not None and self.confirmed.ci95 is not None and self.confirmed.ci95[1] < self.estimate


@dataclass(frozen=True)
class Confirmation:
    """The elites of one search, highest estimate first. `pooled` is their confirmed ASR over all judged trials, with an
    interval clustered by persona and by request."""

    name: str
    elites: tuple[ConfirmedElite, ...]
    pooled: Estimate

    @property
    def compared(self) -> tuple[ConfirmedElite, ...]:
        """Elites with both an estimate and a confirmed rate; the numbers below rest on them."""
        return tuple(e for e in self.elites if e.estimate is not None and e.confirmed.value is not None)

    @property
    def mean_estimate(self) -> float | None:
        estimates = [elite.estimate for elite in self.compared if elite.estimate is not None]
        return math.fsum(estimates) / len(estimates) if estimates else None

    @property
    def gap(self) -> Difference:
        """Mean estimate minus pooled confirmed ASR. The estimate is a number the search states, so the interval is the
        confirmed rate's alone."""
        mean, rate = self.mean_estimate, self.pooled
        if mean is None or rate.value is None:
            return Difference(None, reason="no elite has both an estimate and a confirmed rate")
        interval = (mean - rate.ci95[1], mean - rate.ci95[0]) if rate.ci95 else None
        return Difference(mean - rate.value, interval)

    @property
    def overrated(self) -> int:
        """How many compared elites have their whole interval below their estimate."""
        return sum(elite.below for elite in self.compared)


def build_confirmation(name: str, search: Mapping[str, Any], texts: Mapping[str, str]) -> Confirmation:
    """From the "estimates", "confirmed" and "confirmed_asr" of a search's summary; `texts` are persona texts by id.

    Raises DataError where they are not of the summary's form, do not tell of the same elites, or name one that has no
    text.
    """
    try:
        estimates, confirmed = search["estimates"], search["confirmed"]
        if set(estimates) != set(confirmed):
            raise ValueError("the estimates and the confirmed rates are of different elites")
        elites = [
            ConfirmedElite(texts[key], _probability(estimates[key]), read_rate(f"confirmed ASR of {key}", rate))
            for key, rate in confirmed.items()
        ]
        pooled = read_rate(f"{name} confirmed", search["confirmed_asr"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"the confirmation of {name!r} is not of the summary's form: {error!r}; search again."
        ) from error
    # Unknown estimates last; equal ones by text, so that equal searches give equal pages.
    elites.sort(key=lambda elite: (elite.estimate is None, -(elite.estimate or 0.0), elite.text))
    return Confirmation(name, tuple(elites), pooled)


def _probability(value: Any) -> float | None:
    if value is None:
        return None
    if not -_ROUNDING <= value <= 1 + _ROUNDING:
        raise ValueError(f"an estimate is {value}")
    return min(max(float(value), 0.0), 1.0)
