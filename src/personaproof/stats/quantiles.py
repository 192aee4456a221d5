"""Quantiles of the normal and of Student's t, and the tails of tests. From scipy.special: scipy.stats holds the same
functions and takes about a second to import, which every command would pay before its first word."""

from __future__ import annotations

from scipy.special import bdtr, ndtri, stdtr, stdtrit


def normal_critical(level: float) -> float:
    """z such that a standard normal is within -z and z with probability `level`."""
    return float(-ndtri((1 - level) / 2))


def student_critical(degrees: float, level: float) -> float:
    """t such that Student's t with so many degrees of freedom is within -t and t with probability `level`."""
    return float(-stdtrit(degrees, (1 - level) / 2))


def student_two_sided(statistic: float, degrees: float) -> float:
    """Probability of Student's t at least as far from 0 as `statistic`."""
    return float(2 * stdtr(degrees, -abs(statistic)))


def fair_two_sided(heads: int, tosses: int) -> float:
    """Probability that a fair coin is at least as far from the middle as `heads` of `tosses`."""
    return float(min(1.0, 2 * bdtr(min(heads, tosses - heads), tosses, 0.5)))
