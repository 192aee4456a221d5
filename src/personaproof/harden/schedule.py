"""Which rows meet in which optimiser step: the whole training laid out before it begins.

A pure function of the rows' kinds and lengths, the sizes and the seed, so a resumed run goes on with the very next
step, and every step holds each kind in its share: a step without persona rows would say nothing about personas.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Hashable, Sequence
from itertools import pairwise


def step_sizes(rows: int, batch_rows: int, epochs: float, max_steps: int | None) -> tuple[int, int]:
    """(optimiser steps, rows a step), all steps alike and none over `batch_rows` or the rows there are.

    `max_steps` decides where given; else as many steps as `epochs` passes take, the rows shared out evenly.
    """
    most = min(batch_rows, rows)
    if max_steps is not None:
        return max_steps, most
    steps = math.ceil(rows * epochs / most)
    return steps, min(most, math.ceil(rows * epochs / steps))


def schedule(strata: Sequence[Hashable], size: int, steps: int, seed: int) -> list[list[int]]:
    """Indices of the `size` rows of each step; `strata[i]` is the kind of row i.

    Rows come in passes over all of them. Within a pass each stratum is shuffled and spread evenly, so that any stretch
    of it holds the strata in proportion. Where two passes meet inside a step, a row that is already in the step waits
    for the next one. Raises ValueError where a step would need more rows than there are.
    """
    if not 0 < size <= len(strata):
        raise ValueError(f"a step of {size} different rows cannot be drawn from {len(strata)}")
    rng = random.Random(seed)
    queue: deque[int] = deque()
    batches = []
    for _ in range(steps):
        batch: dict[int, None] = {}
        waiting = []
        while len(batch) < size:
            if not queue:
                queue.extend(_spread(strata, rng))
            index = queue.popleft()
            if index in batch:
                waiting.append(index)
            else:
                batch[index] = None
        queue.extendleft(reversed(waiting))
        batches.append(list(batch))
    return batches


def split_by_length(batch: Sequence[int], lengths: Sequence[int], parts: int) -> list[list[int]]:
    """Cut one step into `parts` forward passes of nearly equal size, rows of like length together to save padding.

    Raises ValueError where a part would be empty.
    """
    if not 0 < parts <= len(batch):
        raise ValueError(f"{len(batch)} rows cannot be cut into {parts} parts")
    ordered = sorted(batch, key=lambda i: (lengths[i], i))
    bounds = [round(part * len(ordered) / parts) for part in range(parts + 1)]
    return [ordered[a:b] for a, b in pairwise(bounds)]


def _spread(strata: Sequence[Hashable], rng: random.Random) -> list[int]:
    groups: dict[Hashable, list[int]] = {}
    for index, stratum in enumerate(strata):
        groups.setdefault(stratum, []).append(index)
    placed: list[tuple[float, int]] = []
    for members in groups.values():
        rng.shuffle(members)
        offset = rng.random()
        placed += [((rank + offset) / len(members), index) for rank, index in enumerate(members)]
    return [index for _, index in sorted(placed)]
