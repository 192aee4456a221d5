"""How different a search's elites are, from the ``diversity`` of its summary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from personaproof.core import DataError
from personaproof.report.data import Diversity, DiversityAxis, DiversityRow

_AXIS_LABELS = {
    "mechanism": "Mechanism",
    "register": "Register",
    "length": "Length",
    "region": "Semantic region",
}
_VALUE_LABELS = {
    "length": {
        "brief": "brief (below 25 words)",
        "short": "short (25 to 49 words)",
        "medium": "medium (50 to 99 words)",
        "long": "long (100 words or more)",
    },
    "mechanism": {"none": "none: the plain Assistant"},
}


def build_diversity(name: str, entry: Mapping[str, Any]) -> Diversity:
    """The diversity of search `name`. Values of an axis come with the most elites first; a region is called by the
    words that mark it. Raises DataError for an entry that is not of the summary's form."""
    try:
        return Diversity(
            name,
            elites=int(entry["elites"]),
            personas=int(entry["personas"]),
            cells=int(entry["cells"]),
            reachable=int(entry["reachable_cells"]),
            # Runs of earlier versions have none.
            qd_score=_known(entry.get("qd_score")),
            similarity=_known(entry["mean_similarity"]),
            similarity_all=_known(entry["mean_similarity_all"]),
            nearest=_known(entry["nearest_similarity"]),
            axes=tuple(_axis(axis, entry["counts"][axis], entry["regions"]) for axis in entry["axes"]),
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"the diversity of {name!r} is not of the summary's form: {error!r}; search again.") from error


def _known(value: Any) -> float | None:
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"a number is {value}")
    return float(value)


def _axis(axis: str, counts: Mapping[str, Mapping[str, int]], regions: list[list[str]]) -> DiversityAxis:
    rows = [
        DiversityRow(_value_label(axis, value, regions), int(count["elites"]), int(count["personas"]))
        for value, count in counts.items()
    ]
    return DiversityAxis(
        _AXIS_LABELS.get(axis, axis), tuple(sorted(rows, key=lambda row: (-row.elites, -row.personas, row.label)))
    )


def _value_label(axis: str, value: str, regions: list[list[str]]) -> str:
    if axis == "region":
        terms = regions[int(value)]
        return ", ".join(terms) if terms else f"region {int(value) + 1}"
    return _VALUE_LABELS.get(axis, {}).get(value, value.replace("_", " "))
