"""A section of tables and plots that says all it has to say in data: what a training, self-play and the benches show.

Everything in it is plain text and numbers; nothing that a model answered belongs here, since nothing here is redacted.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from personaproof.report.data import Estimate


@dataclass(frozen=True)
class Number:
    """An estimate in a table. `percent`: it is a rate; `signed`: it is a difference; `detail` is said below it."""

    estimate: Estimate
    percent: bool = False
    signed: bool = False
    detail: str = ""


Entry = str | Number


@dataclass(frozen=True)
class Table:
    """The first column names the rows. In a `heat` table each number of [0, 1] colours its cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    caption: str = ""
    heat: bool = False

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of table {self.title!r} has not one entry for each of {len(self.columns)} columns")


@dataclass(frozen=True)
class Point:
    """A point with its 95 % intervals. None in `x` or `y` was not measured and leaves a gap."""

    x: float | None
    y: float | None
    y_ci95: tuple[float, float] | None = None
    x_ci95: tuple[float, float] | None = None
    label: str = ""
    """Written beside it, and told where one points at it."""

    def __post_init__(self) -> None:
        numbers = [self.x, self.y, *(self.x_ci95 or ()), *(self.y_ci95 or ())]
        if any(number is not None and not math.isfinite(number) for number in numbers):
            raise ValueError(f"a point of a plot is not finite: {self}")


@dataclass(frozen=True)
class Series:
    """Points joined in their order. Series of one name share colour and legend; `faint` ones are thin lines without
    marks, such as one seed of several."""

    name: str
    points: tuple[Point, ...]
    faint: bool = False


@dataclass(frozen=True)
class Plot:
    """Series on common axes. `band`: y intervals are a band along the line, else bars at each point."""

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    x_percent: bool = False
    y_percent: bool = False
    x_log: bool = False
    band: bool = False
    caption: str = ""

    def __post_init__(self) -> None:
        points = [point for series in self.series for point in series.points]
        if self.x_log and any(point.x is not None and point.x <= 0 for point in points):
            raise ValueError(f"plot {self.title!r} has a logarithmic axis and a point at or below 0")

    @property
    def drawn(self) -> int:
        """Points that have both coordinates."""
        return sum(p.x is not None and p.y is not None for series in self.series for p in series.points)


@dataclass(frozen=True)
class Section:
    """`id` is its anchor in the page: letters, digits and hyphens. `verdict` is the sentence to remember."""

    id: str
    title: str
    lead: str
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()
    verdict: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", self.id):
            raise ValueError(f"the id of a section has letters, digits and hyphens, and {self.id!r} has not")
