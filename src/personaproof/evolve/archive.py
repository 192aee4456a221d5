"""A quality-diversity archive of personas: the best of each cell (MAP-Elites, Mouret & Clune 2015, arXiv:1504.04909).

Our own instead of pyribs' GridArchive, after reading it: that archive keeps the objective a solution had on insertion,
whereas our values are estimates that move with every answer, so it would have to be emptied and filled again each time;
its cells are equal steps of a real-valued measure, ours are categories; of equal values it keeps whichever came first,
ours the smaller id, so that the order of work cannot reach a result; and it needs numba. What remains is a page of code
on plain mappings, computed anew from the values of the moment.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from personaproof.evolve.descriptors import Cell


@dataclass(frozen=True)
class Archive:
    """The filled cells: `elites` maps each to the id of its best persona and `values` to that one's value. `reachable`
    counts the cells that any described persona lies in, valued or not."""

    elites: Mapping[Cell, str]
    values: Mapping[Cell, float]
    reachable: int

    @classmethod
    def of(cls, values: Mapping[str, float], cells: Mapping[str, Cell]) -> Archive:
        """The archive of personas by id; of equal values the smaller id holds the cell.

        `values` may leave out personas (not yet scored). To count only cells with a failure worth the name, pass only
        the personas above a threshold. Raises ValueError for a value without a cell or one that is not finite.
        """
        elites: dict[Cell, str] = {}
        for key in _ranked(values, cells):
            elites.setdefault(cells[key], key)
        return cls(elites, {cell: values[key] for cell, key in elites.items()}, len(set(cells.values())))

    @property
    def coverage(self) -> float:
        """Filled cells over reachable ones, in [0, 1]; 0 where nothing is described."""
        return len(self.elites) / self.reachable if self.reachable else 0.0

    @property
    def qd_score(self) -> float:
        """Sum of the elites' values: rises with better elites and with more cells. Meant for values of at least 0, such
        as attack success rates; a negative one would make a further cell count against the archive."""
        return math.fsum(self.values.values())


def select_diverse(values: Mapping[str, float], cells: Mapping[str, Cell], count: int, slack: float) -> list[str]:
    """`count` persona ids (all, where there are fewer) that are strong and lie in many cells; best first.

    It starts from the `count` best by value and gives the places of the weakest spare ones (those with a better one of
    their cell beside them) to the best personas of cells without a place, then to second ones of cells with a single
    place, and so on: round over the cells. A place changes hands once and only if that costs at most `slack`. Hence,
    against the plain best `count`: as many personas, every cell of theirs and maybe more, a mean value lower by at most
    `slack`, and nobody more than `slack` below the weakest of them. Of equal values the smaller id goes first.

    Raises ValueError for a negative count or slack, a value without a cell, or a value that is not finite.
    """
    if count < 0 or not slack >= 0:
        raise ValueError(f"count and slack must not be negative: {count}, {slack}")
    ranked = _ranked(values, cells)
    order = {key: place for place, key in enumerate(ranked)}
    turn = _turns(ranked, cells)
    spare, outside = ranked[:count], ranked[count:]
    chosen = set(spare)
    candidates = _by_turn(outside, turn)
    for this_turn in sorted(candidates):
        spare = [key for key in spare if turn[key] > this_turn]
        given = _exchanges([values[key] for key in spare], [values[key] for key in candidates[this_turn]], slack)
        chosen.difference_update(spare[len(spare) - given :])
        chosen.update(candidates[this_turn][:given])
        spare = spare[: len(spare) - given]
    return sorted(chosen, key=order.__getitem__)


def _exchanges(spare: Sequence[float], offered: Sequence[float], slack: float) -> int:
    """How many of the weakest `spare` can be replaced by the best `offered` (both highest first), each pair costing at
    most `slack`. Pairing in order of value keeps the dearest pair cheapest, and if n pairs fit, so do n - 1."""
    most = min(len(spare), len(offered))
    return bisect_left(
        range(1, most + 1),
        True,
        key=lambda n: any(old - new > slack for old, new in zip(spare[len(spare) - n :], offered[:n], strict=True)),
    )


def _ranked(values: Mapping[str, float], cells: Mapping[str, Cell]) -> list[str]:
    """Ids by value, highest first, ties by id."""
    if missing := sorted(values.keys() - cells.keys()):
        raise ValueError(f"{len(missing)} valued personas have no cell, such as {missing[0]}")
    if broken := sorted(key for key, value in values.items() if not math.isfinite(value)):
        raise ValueError(f"{len(broken)} values are not finite, such as that of {broken[0]}")
    return sorted(values, key=lambda key: (-values[key], key))


def _turns(ranked: list[str], cells: Mapping[str, Cell]) -> dict[str, int]:
    """Each id's place within its own cell, from 0."""
    seen: Counter[Cell] = Counter()
    turns = {}
    for key in ranked:
        turns[key] = seen[cells[key]]
        seen[cells[key]] += 1
    return turns


def _by_turn(ranked: list[str], turn: Mapping[str, int]) -> dict[int, list[str]]:
    groups: dict[int, list[str]] = {}
    for key in ranked:
        groups.setdefault(turn[key], []).append(key)
    return groups
