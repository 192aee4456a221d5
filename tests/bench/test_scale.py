"""`bench scale`: it grows a real lineage, and never reports a cost that it did not measure."""

from __future__ import annotations

import pytest

from personaproof.bench import measure_scale
from personaproof.core import DataError


@pytest.mark.parametrize("strategy", ["thompson", "ple"])
def test_every_size_is_measured(strategy: str) -> None:
    points = measure_scale(strategy, [60, 200])
    assert [point.personas for point in points] == [60, 200]
    assert all(point.milliseconds > 0 for point in points)


def test_sizes_that_do_not_grow_are_refused() -> None:
    with pytest.raises(DataError, match="nothing was left to measure at 60"):
        measure_scale("thompson", [60, 60])
