"""Rates and means over a persona x request matrix, with intervals that hold for new personas and new requests."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from personaproof.stats.clusters import Clusters, Floats, Ids, arrange
from personaproof.stats.estimate import LEVEL, NO_DATA, Estimate, wilson_bounds
from personaproof.stats.quantiles import normal_critical, student_critical


def clustered_rate(values: ArrayLike, persona_ids: Ids, request_ids: Ids) -> Estimate:
    """Rate of 0/1 outcomes, shape [n], with a 95 % interval robust to clustering by persona and by request.

    The two-way variance of the mean (Cameron, Gelbach & Miller 2011) becomes a design effect, and Wilson's interval is
    taken at the effective sample size, so that it stays within [0, 1] and is honest near the ends; see
    `effective_size`. Raises ValueError for values other than 0 and 1.
    """
    (outcomes,), clusters = arrange([values], persona_ids, request_ids)
    check_binary(outcomes)
    if not len(outcomes):
        return NO_DATA
    rate = float(outcomes.sum()) / len(outcomes)
    return Estimate(rate, *wilson_bounds(rate, effective_size(outcomes, clusters)), len(outcomes))


def effective_size(outcomes: Floats, clusters: Clusters) -> float:
    """How many independent trials are worth as much as these 0/1 `outcomes`, at most their number.

    Two corrections to n / design effect, for what the variance cannot tell:

    - With few events the observed design effect means nothing (with none it is 0/0). It is drawn toward the worst
      case, where all trials of a cluster agree and only the clusters count, with the weight of one event. So with no
      event at all the effective size is the smaller number of clusters: 35 personas by 40 requests without a single
      success bound the rate as 35 independent trials would.
    - With few clusters the variance is itself uncertain: t with (clusters - 1) degrees of freedom in place of the
      normal, as a factor on the size (Korn & Graubard 1998).
    """
    n = len(outcomes)
    if not clusters.dimensions:
        return float(n)
    events = float(min(outcomes.sum(), n - outcomes.sum()))
    rate = float(outcomes.sum()) / n
    worst_effect = n / clusters.fewest
    observed_effect = clusters.variance(outcomes - rate) * n / (rate * (1 - rate)) if events else worst_effect
    effect = (events * max(observed_effect, 1.0) + worst_effect) / (events + 1)
    # The worst case needs no t: it rests on no estimated variance.
    trust = (normal_critical(LEVEL) / critical_value(clusters)) ** 2 if events else 1.0
    return max(n / effect * trust, 1.0)


def clustered_mean(values: ArrayLike, persona_ids: Ids, request_ids: Ids) -> Estimate:
    """Mean of real values, shape [n], with a two-way clustered 95 % t interval on (smaller cluster count - 1) degrees
    of freedom. One value alone has no interval."""
    (numbers,), clusters = arrange([values], persona_ids, request_ids)
    if not len(numbers):
        return NO_DATA
    # fsum, and the clip: the mean of equal values must be that very value.
    mean = min(max(math.fsum(numbers) / len(numbers), float(numbers.min())), float(numbers.max()))
    if len(numbers) == 1:
        return Estimate(mean, None, None, 1)
    half = critical_value(clusters) * math.sqrt(clusters.variance(numbers - mean))
    return Estimate(mean, mean - half, mean + half, len(numbers))


def critical_value(clusters: Clusters) -> float:
    """The two-sided 95 % point of t with (fewer clusters - 1) degrees of freedom."""
    return student_critical(clusters.fewest - 1, LEVEL)


def check_binary(outcomes: Floats) -> None:
    """Raises ValueError where an outcome is neither 0 nor 1."""
    if not np.isin(outcomes, (0.0, 1.0)).all():
        raise ValueError("outcomes must be 0 or 1; leave unjudged trials out and count them apart")
