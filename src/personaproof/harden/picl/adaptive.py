"""A weight of preservation that holds its divergence at a target."""

from __future__ import annotations

GAIN = 0.1
LARGEST_ERROR = 0.2
BOUNDS = (0.1, 10.0)


class AdaptiveWeight:
    """A factor on `preserve_weight`, moved after every step by the proportional rule of Ziegler et al. 2019 (section
    2.2): factor <- factor * (1 + GAIN * clip(KL / target - 1, +-LARGEST_ERROR)), at most two percent a step.

    Kept within BOUNDS: while the student is still the untrained model the KL is 0 and says nothing of the weight that
    will be needed.
    """

    def __init__(self, target: float) -> None:
        self.target = target
        self.factor = 1.0

    def update(self, divergence: float) -> None:
        """Take in the mean preservation KL, in nats a token, over all rows of a step."""
        error = min(max(divergence / self.target - 1, -LARGEST_ERROR), LARGEST_ERROR)
        self.factor = min(max(self.factor * (1 + GAIN * error), BOUNDS[0]), BOUNDS[1])
