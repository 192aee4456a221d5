"""A response model: how strong each persona is and how hard each request, from few answers, with their uncertainty.

    P(persona i succeeds with request j) = Phi(theta_i - b_j),   theta_i ~ N(m_i, v_i),   b_j ~ N(c_j, w_j)

the normal-ogive form of the Rasch model (Lord 1952). Answers are absorbed one at a time by assumed-density filtering:
after each, the exact posterior of theta_i - b_j is replaced by the Gaussian of the same mean and variance (Opper 1998;
Minka 2001; Herbrich, Minka and Graepel 2006 use the same update for a player and an opponent). A child starts from
what is known of its parents, and what it shows is passed back to them, since the two are correlated:

    theta_child = m + h (theta_parent - m) + innovation,   innovation ~ N(0, s^2).

Everything is a scalar or an array of float64; an answer costs O(1).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, ndtr

Floats = NDArray[np.float64]


def filter_answer(
    mean: float, variance: float, difficulty: float, spread: float, success: bool
) -> tuple[float, float, float, float]:
    """Gaussian posteriors (mean, variance) of strength and (mean, variance) of difficulty after one answer.

    With t = +-(mean - difficulty) / c and c^2 = variance + spread + 1, the first two moments of the exact posterior are
    mean + variance / c * v and variance (1 - variance / c^2 * v (v + t)), v = phi(t) / Phi(t); likewise mirrored for
    the difficulty (Herbrich et al. 2006, eq. for win and loss without a draw margin).
    """
    sign = 1.0 if success else -1.0
    c2 = variance + spread + 1.0
    c = math.sqrt(c2)
    t = sign * (mean - difficulty) / c
    # phi / Phi through logarithms: Phi underflows for a very surprising answer.
    v = math.exp(-0.5 * t * t - 0.5 * math.log(2 * math.pi) - float(log_ndtr(t)))
    w = v * (v + t)
    return (
        mean + sign * variance / c * v,
        variance * (1.0 - variance / c2 * w),
        difficulty - sign * spread / c * v,
        spread * (1.0 - spread / c2 * w),
    )


class ResponseModel:
    """Strengths by row (persona) and difficulties by column (request)."""

    def __init__(
        self,
        requests: int,
        *,
        mean: float = -1.0,
        variance: float = 2.25,
        spread: float = 1.0,
        heritability: float = 0.9,
        innovation: float = 0.8,
    ) -> None:
        """`mean`, `variance`: of a persona nobody knows. `spread`: prior variance of difficulties, whose prior mean is
        0. `heritability` (h above, in [0, 1]) and `innovation` (s, a standard deviation) tie children to parents."""
        if requests < 1:
            raise ValueError("a response model needs at least one request")
        if not 0 <= heritability <= 1 or innovation <= 0 or variance <= 0 or spread <= 0:
            raise ValueError("heritability must lie in [0, 1]; innovation, variance and spread must be positive")
        self.mean, self.variance = mean, variance
        self.heritability, self.innovation = heritability, innovation
        self.difficulty: Floats = np.zeros(requests)
        self.spread: Floats = np.full(requests, spread)
        self._size = 0
        self._means: Floats = np.zeros(64)
        self._variances: Floats = np.zeros(64)

    def __len__(self) -> int:
        return self._size

    @property
    def means(self) -> Floats:
        """Posterior means of the strengths, shape (n,)."""
        return self._means[: self._size]

    @property
    def variances(self) -> Floats:
        """Posterior variances of the strengths, shape (n,)."""
        return self._variances[: self._size]

    def add(self, parents: tuple[int, ...] = ()) -> int:
        """A new row, with the prior its parents (rows) give it, or the population's; returns its index."""
        if self._size == len(self._means):
            self._means = np.concatenate([self._means, np.zeros(self._size)])
            self._variances = np.concatenate([self._variances, np.zeros(self._size)])
        mean, variance = self.prior(parents)
        self._means[self._size], self._variances[self._size] = mean, variance
        self._size += 1
        return self._size - 1

    def prior(self, parents: tuple[int, ...]) -> tuple[float, float]:
        """Mean and variance of a child before it was seen. Two parents count half each, as if independent."""
        if not parents:
            return self.mean, self.variance
        h, count = self.heritability, len(parents)
        known = sum(float(self._means[row]) for row in parents) / count
        doubt = sum(float(self._variances[row]) for row in parents) / count**2
        return self.mean + h * (known - self.mean), h * h * doubt + self.innovation**2

    def learn(self, row: int, column: int, success: bool) -> None:
        """Absorb one answer."""
        self._means[row], self._variances[row], self.difficulty[column], self.spread[column] = filter_answer(
            float(self._means[row]), float(self._variances[row]),
            float(self.difficulty[column]), float(self.spread[column]), success,
        )  # fmt: skip

    def credit(self, parents: tuple[int, ...], before: tuple[float, float], after: tuple[float, float]) -> None:
        """Pass to the parents what a child's answers told: its belief went from `before` to `after` (mean, variance).

        The answers amount to one Gaussian observation of the child, z with variance r = 1 / (1/after - 1/before); the
        parents' mean is tied to it by the prior, so each is moved as a Kalman smoother would, by its share.
        """
        gained = 1.0 / after[1] - 1.0 / before[1]
        if gained <= 0 or not parents:
            return
        seen = (after[0] / after[1] - before[0] / before[1]) / gained
        h, count = self.heritability, len(parents)
        mean, variance = self.prior(parents)
        surprise, total = seen - mean, variance + 1.0 / gained
        for row in parents:
            gain = h / count * float(self._variances[row]) / total
            self._means[row] += gain * surprise
            self._variances[row] *= 1.0 - gain * h / count

    def asr(self) -> Floats:
        """Expected success rate of each persona over the requests, uncertainty integrated out: shape (n,).

        The difficulties are taken as normal around their mean, which gives E Phi(theta_i - b) in closed form, O(n):
        Phi((m_i - c) / sqrt(1 + v_i + w + s^2)), with c and s^2 mean and variance of the c_j, and w the mean of w_j.
        """
        scatter = 1.0 + float(self.spread.mean()) + float(self.difficulty.var())
        rates: Floats = ndtr((self.means - float(self.difficulty.mean())) / np.sqrt(self.variances + scatter))
        return rates

    def information(self, strength: float) -> Floats:
        """How much one answer to each request tells about a persona of this strength: phi^2 / (Phi (1 - Phi)), the
        Fisher information of the normal ogive, shape (requests,)."""
        t = strength - self.difficulty
        log_density = -0.5 * t * t - 0.5 * math.log(2 * math.pi)
        told: Floats = np.exp(2 * log_density - log_ndtr(t) - log_ndtr(-t))
        return told
