"""What the page's script gets: one JSON value, redacted here, so that hidden text is not in the file at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from personaproof.report.confirmation import Confirmation
from personaproof.report.data import Cell, Estimate, Heatmap, Lineage, ModelText
from personaproof.report.document import ReportData
from personaproof.report.format import excerpt, interval, number
from personaproof.report.layout import layered_layout
from personaproof.report.section import Plot, Series

RESPONSE_BUDGET = 1_500_000
"""Characters of answers that all heatmaps together may carry; it keeps the file below 8 MB at 200 x 200."""
LONGEST_RESPONSE = 240
SHORTEST_RESPONSE = 60
"""Where the budget leaves less than this for an answer, heatmaps carry none."""


def redacted(text: ModelText, show_harmful: bool) -> str | None:
    """The notice that stands for `text`, or None where the text itself may be shown."""
    if show_harmful or not text.harmful:
        return None
    digest = hashlib.sha256(text.text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"Redacted: {len(text.text):,} characters, SHA-256 {digest[:16]}…"


def response_limit(heatmaps: Sequence[Heatmap]) -> int:
    """Characters of each answer that fit the budget; 0 where they would be too short to be of use."""
    answers = sum(
        cell.response is not None for heatmap in heatmaps for arm in heatmap.cells for row in arm for cell in row
    )
    share = min(LONGEST_RESPONSE, RESPONSE_BUDGET // max(1, answers))
    return share if share >= SHORTEST_RESPONSE else 0


def build_payload(data: ReportData, show_harmful: bool) -> dict[str, Any]:
    """JSON values only. Texts are plain text: the script sets them as text, never as HTML."""
    limit = response_limit(data.heatmaps)
    return {
        "heatmaps": [_heatmap(heatmap, limit, show_harmful) for heatmap in data.heatmaps],
        "lineages": [_lineage(lineage) for lineage in data.lineages],
        "search": [
            {
                "name": curve.name,
                "calls": curve.calls,
                "best": curve.best,
                "mean": curve.mean_elite,
                "confirmed": None
                if curve.confirmed is None or curve.confirmed.value is None
                else {"value": curve.confirmed.value, "ci95": curve.confirmed.ci95},
            }
            for curve in data.search
        ],
        "confirmations": [_confirmation(confirmation) for confirmation in data.confirmations],
        "training": [{"name": c.name, "steps": c.steps, "values": c.values} for c in data.training],
        "figures": {
            f"{section.id}-{number}": _figure(plot)
            for section in data.sections
            for number, plot in enumerate(section.plots)
        },
    }


def script_json(payload: Any) -> str:
    """JSON that is safe inside a script element: ASCII, and none of the characters that could end the element or open
    a comment. Raises ValueError on NaN or infinity, which JSON does not have."""
    text = json.dumps(payload, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _heatmap(heatmap: Heatmap, limit: int, show_harmful: bool) -> dict[str, Any]:
    # Few distinct tallies exist, so a cell is an index into them: 40,000 cells cost some 80 kB.
    tallies: dict[tuple[int, int, int, int], int] = {(0, 0, 0, 0): 0}
    arms = []
    for arm, rows in zip(heatmap.arms, heatmap.cells, strict=True):
        flat = [cell for row in rows for cell in row]
        arms.append(
            {
                "name": arm,
                "cells": [tallies.setdefault(cell.tally, len(tallies)) for cell in flat],
                "responses": [_response(cell, limit, show_harmful) for cell in flat] if limit else None,
            }
        )
    return {
        "kind": heatmap.kind,
        "rows": [{"label": r.label, "text": r.text, "hits": r.hits, "judged": r.judged} for r in heatmap.rows],
        "columns": [{"text": c.text, "category": c.category} for c in heatmap.columns],
        "tallies": list(tallies),
        "arms": arms,
    }


def _response(cell: Cell, limit: int, show_harmful: bool) -> str | list[str] | None:
    """The answer's beginning as a string, or a notice as a list of one string, which the page sets apart."""
    if cell.response is None:
        return None
    notice = redacted(cell.response, show_harmful)
    return [notice] if notice else excerpt(cell.response.text, limit)


def _lineage(lineage: Lineage) -> dict[str, Any]:
    places = layered_layout(lineage.nodes, lineage.edges)
    index = {node.id: i for i, node in enumerate(lineage.nodes)}
    return {
        "nodes": [
            {
                "x": places[node.id][0],
                "y": round(places[node.id][1], 5),
                "name": node.name,
                "text": node.text,
                "operation": node.operation,
                "generation": node.generation,
                "successes": node.successes,
                "judged": node.judged,
                "elite": node.elite,
                "asr": "" if node.asr is None else number(node.asr, percent=True),
            }
            for node in lineage.nodes
        ],
        "edges": [[index[e.parent], index[e.child]] for e in lineage.edges if e.parent != e.child],
    }


def _confirmation(confirmation: Confirmation) -> list[dict[str, Any]]:
    """The elites that can be drawn, strongest estimate first."""
    return [
        {
            "text": elite.text,
            "estimate": elite.estimate,
            "value": elite.confirmed.value,
            "ci95": elite.confirmed.ci95,
            "below": elite.below,
            "told": f"search estimate {number(elite.estimate, percent=True)}, confirmed {_told(elite.confirmed)}",
        }
        for elite in confirmation.compared
        if elite.estimate is not None
    ]


def _figure(plot: Plot) -> dict[str, Any]:
    return {
        "x": {"label": plot.x_label, "percent": plot.x_percent, "log": plot.x_log},
        "y": {"label": plot.y_label, "percent": plot.y_percent},
        "band": plot.band,
        "series": [_series(series) for series in plot.series],
    }


def _series(series: Series) -> dict[str, Any]:
    return {
        "name": series.name,
        "faint": series.faint,
        "x": [point.x for point in series.points],
        "y": [point.y for point in series.points],
        "xci": [point.x_ci95 for point in series.points],
        "yci": [point.y_ci95 for point in series.points],
        "labels": [point.label for point in series.points],
    }


def _told(rate: Estimate) -> str:
    assert rate.value is not None
    details = [f"95 % interval {interval(rate.ci95, percent=True)}"] if rate.ci95 else []
    details += [f"n {rate.n:,}"] if rate.n is not None else []
    return number(rate.value, percent=True) + (f" ({', '.join(details)})" if details else "")
