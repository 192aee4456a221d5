"""What predicts that an evaluator claims a text: its log-likelihood ratio against one reference or another.

Every predictor of "The Assistant as a Privileged Persona" (2606.00545) has one form, the evidence H_ref(x) - H_e(x) in
nats a token, larger where the text is more the evaluator's own. They differ in the reference: the text's writer (the
symmetric gap, there with the other sign), none (plain surprise), the Assistant (the asymmetric gap), or any other
persona (substitution). Matrices are (evaluators, generators) of means over the generator's texts; both sides are the
same personas in the same order. All computing is in float64.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from personaproof.stats import NO_DATA, Estimate
from personaproof.stats.quantiles import normal_critical

Floats = NDArray[np.float64]

LEVEL = 0.95
FLAT = 1e-9
"""A standard deviation below this part of the values' size is rounding, and nothing correlates with it."""


def references(surprise: Floats) -> Floats:
    """(2 + personas, generators): H_ref(x_g) for the writer, for none, and for each persona in order."""
    surprise = np.asarray(surprise, dtype=np.float64)
    return np.vstack([np.diagonal(surprise), np.zeros(surprise.shape[1]), surprise])


def correlations(surprise: Floats, claims: Floats, draws: Floats | None = None) -> Floats:
    """Pearson's r over generators between the evidence against each reference and the claim rates.

    `surprise` and `claims` are (personas, generators). Returns (references, evaluators); with `draws` (replicates,
    generators), how often each generator counts, (replicates, references, evaluators). NaN where either side does not
    vary: above all an evaluator against itself as the reference, where the evidence is zero throughout.
    """
    surprise, claims = np.asarray(surprise, dtype=np.float64), np.asarray(claims, dtype=np.float64)
    evidence = references(surprise)[:, None] - surprise[None]
    shape = evidence.shape
    weights = np.ones((1, shape[2])) if draws is None else np.asarray(draws, dtype=np.float64)
    weights = weights / weights.sum(1, keepdims=True)
    # Centred beforehand: the moments below would cancel otherwise.
    x = (evidence - evidence.mean(2, keepdims=True)).reshape(-1, shape[2])
    y = claims - claims.mean(1, keepdims=True)
    y_rows = np.broadcast_to(y, shape).reshape(-1, shape[2])
    mx, my = weights @ x.T, weights @ y_rows.T
    variance_x = weights @ (x * x).T - mx * mx
    variance_y = weights @ (y_rows * y_rows).T - my * my
    covariance = weights @ (x * y_rows).T - mx * my
    least_x = (FLAT * (1 + np.abs(surprise).max())) ** 2
    least_y = FLAT**2
    defined = (variance_x > least_x) & (variance_y > least_y)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = np.where(defined, covariance / np.sqrt(variance_x * variance_y), np.nan)
    r = np.clip(r, -1.0, 1.0).reshape(len(weights), shape[0], shape[1])
    return r[0] if draws is None else r


def pearson(x: Floats, y: Floats) -> Estimate:
    """Pearson's r with Fisher's z interval (normal, independent points); no interval below four points or at r = +-1,
    and no value where one side does not vary."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    x, y = x - x.mean(), y - y.mean()
    if x.std() <= FLAT or y.std() <= FLAT:
        return NO_DATA
    return fisher(float(np.clip((x @ y) / math.sqrt((x @ x) * (y @ y)), -1, 1)), len(x))


def fisher(r: float, n: int) -> Estimate:
    """`r` over `n` points with the interval tanh(artanh r +- 1.96 / sqrt(n - 3)) (Fisher 1921)."""
    if n < 4 or abs(r) == 1.0:
        return Estimate(r, None, None, n)
    half = normal_critical(LEVEL) / math.sqrt(n - 3)
    z = math.atanh(r)
    return Estimate(r, math.tanh(z - half), math.tanh(z + half), n)


def bootstrap_draws(generators: int, replicates: int, seed: int) -> Floats:
    """(replicates, generators): how often each is drawn, with replacement, out of as many."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(generators, np.full(generators, 1 / generators), size=replicates).astype(np.float64)


def interval(value: float, replicates: Floats, n: int) -> Estimate:
    """`value` with the 95 % percentile interval of `replicates`. No interval where over a tenth of them are undefined,
    and no value where it is itself."""
    if not math.isfinite(value):
        return NO_DATA
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 0.9 * len(replicates) or not len(finite):
        return Estimate(value, None, None, n)
    low, high = np.quantile(finite, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # The percentiles of a skewed bootstrap need not hold the value; an interval that is reported does.
    return Estimate(value, min(float(low), value), max(float(high), value), n)


def mean_over(r: Floats, evaluators: list[int]) -> Floats:
    """Mean of `r` (..., references, evaluators) over the given evaluators where it is defined; NaN where nowhere."""
    chosen = r[..., evaluators]
    defined = np.isfinite(chosen)
    count = defined.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(count > 0, np.where(defined, chosen, 0.0).sum(-1) / count, np.nan))


def ranks(scores: Floats) -> Floats:
    """1 for the largest along the last axis, ties sharing their mean rank; NaN ranks behind all and has no rank."""
    scores = np.asarray(scores, dtype=np.float64)
    above = (scores[..., None, :] > scores[..., :, None]).sum(-1)
    equal = (scores[..., None, :] == scores[..., :, None]).sum(-1)
    return np.asarray(np.where(np.isfinite(scores), above + (equal + 1) / 2, np.nan))


def bands(distance: Floats, number: int) -> list[list[int]]:
    """Indices into `distance` in `number` groups of equal size by rank, nearest first; the first take the surplus."""
    order = np.argsort(np.asarray(distance, dtype=np.float64), kind="stable")
    return [sorted(int(i) for i in part) for part in np.array_split(order, number)]
