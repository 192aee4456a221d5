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
from personaproof.report.section import Section
from personaproof.report.transfer import Transfer

PAGE_IDS = frozenset(
    {
        "content",
        "metrics",
        "matrix",
        "lineage",
        "search",
        "confirmation",
        "diversity",
        "transfer",
        "training",
        "examples",
        "manifest",
    }
)
"""Anchors that the page has by itself."""


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
    sections: tuple[Section, ...] = ()
    examples: tuple[Example, ...] = ()
    notes: tuple[str, ...] = ()
    manifest: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_arms(self.arms, self.metrics)
        ids = [section.id for section in self.sections]
        if len(set(ids)) < len(ids) or not PAGE_IDS.isdisjoint(ids):
            raise ValueError(f"the ids of a report's sections must differ, also from its own: {', '.join(ids)}")


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
