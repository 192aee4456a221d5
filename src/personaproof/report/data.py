"""The parts of a report, as frozen values. Builders live in `build`, `matrix` and `diversity`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Tone = Literal["good", "mixed", "bad", "unknown"]
Better = Literal["lower", "higher"]
HeatmapKind = Literal["attack", "over_refusal"]


@dataclass(frozen=True)
class Estimate:
    """A measured number with its 95 % interval and the count behind it. `value` None means not measured; then `reason`
    says why."""

    value: float | None
    ci95: tuple[float, float] | None = None
    n: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Difference:
    """Last arm minus first arm, paired where the caller paired it. `p_adjusted` is Holm-adjusted over the table."""

    value: float | None
    ci95: tuple[float, float] | None = None
    n: int | None = None
    p: float | None = None
    p_adjusted: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class MetricRow:
    """One metric over all arms. `percent`: the number is a rate and is shown in per cent. `better` None: no direction
    is better in itself."""

    name: str
    label: str
    explanation: str
    values: tuple[Estimate, ...]
    difference: Difference | None = None
    percent: bool = True
    better: Better | None = None


@dataclass(frozen=True)
class Headline:
    """The verdict in words and the sentences with the numbers behind it."""

    verdict: str
    tone: Tone
    points: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelText:
    """Something a model wrote. `harmful`: to be redacted unless the reader asked for it."""

    text: str
    harmful: bool


@dataclass(frozen=True)
class Cell:
    """Answers of one persona to one request, counted by outcome; all zero is a cell that was not run.

    `answered` is an answer without harm. `response` is one answer of the most severe outcome in the cell.
    """

    refused: int = 0
    answered: int = 0
    complied: int = 0
    unjudged: int = 0
    response: ModelText | None = None

    @property
    def tally(self) -> tuple[int, int, int, int]:
        return (self.refused, self.answered, self.complied, self.unjudged)


@dataclass(frozen=True)
class HeatmapRow:
    """A persona; `text` None is the direct control. `hits[a]` of `judged[a]` answers count in arm a."""

    label: str
    text: str | None
    hits: tuple[int, ...]
    judged: tuple[int, ...]


@dataclass(frozen=True)
class HeatmapColumn:
    text: str
    category: str = ""


@dataclass(frozen=True)
class Heatmap:
    """Persona x request matrix. `cells[a][r][c]` is arm a, row r, column c.

    In an "attack" map (harmful requests) a hit is an attack success; in an "over_refusal" map (benign requests) a hit
    is a refusal. `note` says what was left out, if anything.
    """

    title: str
    kind: HeatmapKind
    arms: tuple[str, ...]
    rows: tuple[HeatmapRow, ...]
    columns: tuple[HeatmapColumn, ...]
    cells: tuple[tuple[tuple[Cell, ...], ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        shape = (len(self.arms), len(self.rows), len(self.columns))
        if len(self.cells) != shape[0] or any(
            len(arm) != shape[1] or any(len(row) != shape[2] for row in arm) for arm in self.cells
        ):
            raise ValueError(f"heatmap cells must have shape (arms, rows, columns) = {shape}")


@dataclass(frozen=True)
class LineageNode:
    """A persona in a search. ASR is successes / judged; judged 0 has none."""

    id: str
    text: str
    operation: str
    generation: int
    successes: int
    judged: int
    name: str = ""
    elite: bool = False

    @property
    def asr(self) -> float | None:
        return self.successes / self.judged if self.judged else None


@dataclass(frozen=True)
class LineageEdge:
    parent: str
    child: str


@dataclass(frozen=True)
class Lineage:
    title: str
    nodes: tuple[LineageNode, ...]
    edges: tuple[LineageEdge, ...]

    def __post_init__(self) -> None:
        known = {node.id for node in self.nodes}
        if len(known) != len(self.nodes):
            raise ValueError("two lineage nodes have the same id")
        for edge in self.edges:
            if edge.parent not in known or edge.child not in known:
                raise ValueError(f"lineage edge {edge.parent} -> {edge.child} names a persona that is not a node")


@dataclass(frozen=True)
class SearchCurve:
    """Progress of one search: after `calls[i]` target calls the best and the mean elite ASR found so far. None is a
    point without an estimate. `confirmed` is the elites' ASR on fresh requests, if it was measured."""

    name: str
    calls: tuple[int, ...]
    best: tuple[float | None, ...]
    mean_elite: tuple[float | None, ...]
    confirmed: Estimate | None = None

    def __post_init__(self) -> None:
        if not len(self.calls) == len(self.best) == len(self.mean_elite):
            raise ValueError(f"search curve {self.name!r}: calls, best and mean_elite differ in length")


@dataclass(frozen=True)
class DiversityRow:
    """A value of an axis and how many elites, and how many of all personas, have it."""

    label: str
    elites: int
    personas: int


@dataclass(frozen=True)
class DiversityAxis:
    label: str
    rows: tuple[DiversityRow, ...]


@dataclass(frozen=True)
class Diversity:
    """How different a search's elites are: cells of the descriptor archive that they hold of those any persona reached,
    and cosine similarities in [0, 1]; None is one that needs more personas."""

    name: str
    elites: int
    personas: int
    cells: int
    reachable: int
    qd_score: float | None
    """Sum over the held cells of the best elite's estimated attack success."""
    similarity: float | None
    """Mean over pairs of elites."""
    similarity_all: float | None
    """Mean over pairs of all personas."""
    nearest: float | None
    """Mean over elites of the similarity to the elite most like it."""
    axes: tuple[DiversityAxis, ...] = ()


@dataclass(frozen=True)
class TrainingCurve:
    """One loss term (or any logged number) by optimiser step. None is a step where it was not a finite number."""

    name: str
    steps: tuple[int, ...]
    values: tuple[float | None, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.values):
            raise ValueError(f"training curve {self.name!r}: steps and values differ in length")


@dataclass(frozen=True)
class ExampleAnswer:
    """What the model of one arm answered. `outcome` is one of the keys of `labels.OUTCOMES`."""

    arm: str
    outcome: str
    response: ModelText
    reason: str = ""


@dataclass(frozen=True)
class Example:
    """One conversation under every arm that ran it. `persona` None is the direct control."""

    outcome: str
    request: str
    persona: str | None
    answers: tuple[ExampleAnswer, ...]
    framing: str = "direct"
