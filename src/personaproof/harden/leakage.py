"""The proof that nothing a model was trained on is what it is judged by."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from personaproof.core import Persona, Request
from personaproof.data.splits import prove_disjoint
from personaproof.harden.method import TrainingSet


def check_disjoint(data: TrainingSet, evaluation: Mapping[str, Collection[Request | Persona]]) -> dict[str, Any]:
    """The manifest's proof that the training shares no persona, lineage family, request or intent with any of the
    named evaluation sets. Raises DataError naming what is shared."""
    return prove_disjoint({"training": data.asked, **evaluation})
