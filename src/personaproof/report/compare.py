"""Two runs side by side: paired differences with intervals and Holm-adjusted p-values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from personaproof.core import DataError
from personaproof.report.build import Summary, build_metric_rows
from personaproof.report.document import ComparisonData
from personaproof.report.labels import change
from personaproof.report.page import render_page, write_page


def build_comparison(
    first: tuple[str, Summary],
    second: tuple[str, Summary],
    differences: Mapping[str, Mapping[str, Any]],
    *,
    title: str = "Comparison of two runs",
    subtitle: str = "",
    notes: tuple[str, ...] = (),
    manifests: Mapping[str, Mapping[str, Any]] | None = None,
) -> ComparisonData:
    """Rows for every metric of either run, each run given as (name, metrics).

    `differences` is second run minus first, as `audit.Comparison.as_json` has them under "metrics". A metric outside it
    gets the bare difference of its values and says so. Raises DataError where both runs have the same name, or a
    compared metric is in neither.
    """
    if first[0] == second[0]:
        raise DataError(f"both runs are called {first[0]!r}; give them different names.")
    if unknown := set(differences) - set(first[1]) - set(second[1]):
        raise DataError(f"compared metrics that neither run has: {', '.join(sorted(unknown))}.")
    told = {
        name: {**found, "reason": "no trial was judged in both runs" if found["value"] is None else ""}
        for name, found in differences.items()
    }
    rows = build_metric_rows(dict([first, second]), told)
    return ComparisonData(title, (first[0], second[0]), rows, subtitle, notes, dict(manifests or {}))


def write_comparison(data: ComparisonData, path: Path | str) -> Path:
    """Write the comparison as one HTML file without scripts, and return its path. Raises StoreError as `write_report`
    does."""
    words = [(row, change(row)) for row in data.metrics]
    verdict = {word: [row.label for row, found in words if found == word] for word in ("better", "worse", "changed")}
    tested = sum(row.difference is not None and row.difference.p_adjusted is not None for row in data.metrics)
    return write_page(render_page("compare.html.j2", [], data=data, verdict=verdict, tested=tested), path)
