"""A whole report and a whole comparison, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from personaproof.report.confirmation import Confirmation
from personaproof.report.data import (
    Diversity,
    Example,
    Headline,
    Heatmap,
    Lineage,
    MetricRow,
    SearchCurve,
    TrainingCurve,
)
from personaproof.report.transfer import Transfer


@dataclass(frozen=True)
class ReportData:
    """Everything `write_report` needs. A section whose data are empty is left out."""

    title: str
    arms: tuple[str, ...]
    subtitle: str = ""
    headline: Headline | None = None
    metrics: tuple[MetricRow, ...] = ()
    heatmaps: tuple[Heatmap, ...] = ()
    lineages: tuple[Lineage, ...] = ()
    search: tuple[SearchCurve, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    diversity: tuple[Diversity, ...] = ()
    transfer: Transfer | None = None
    training: tuple[TrainingCurve, ...] = ()
    examples: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_arms(self.arms, self.metrics)


@dataclass(frozen=True)
class ComparisonData:
    """Two runs, metric by metric; each row's difference is the second run minus the first."""

    title: str
    arms: tuple[str, str]
    metrics: tuple[MetricRow, ...]
    subtitle: str = ""
    notes: tuple[str, ...] = ()
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_arms(self.arms, self.metrics)


def check_arms(arms: tuple[str, ...], metrics: tuple[MetricRow, ...]) -> None:
    """Raises ValueError unless every row has one value an arm."""
    for row in metrics:
        if len(row.values) != len(arms):
            raise ValueError(f"metric {row.name!r} has {len(row.values)} values for {len(arms)} arms")
