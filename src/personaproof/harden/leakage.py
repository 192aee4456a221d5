"""The proof that nothing a model was trained on is what it is judged by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol

from personaproof.core import Persona, Request
from personaproof.data.splits import prove_disjoint


class Asked(Protocol):
    """A part of a training set: what was asked, and of whom."""

    @property
    def request(self) -> Request: ...
    @property
    def persona(self) -> Persona | None: ...


def check_disjoint(rows: Iterable[Asked], evaluation: Mapping[str, Collection[Request | Persona]]) -> dict[str, Any]:
    """The manifest's proof that the training shares no persona, lineage family, request or intent with any of the
    named evaluation sets. Raises DataError naming what is shared."""
    rows = list(rows)
    trained: dict[str, Request | Persona] = {row.request.id: row.request for row in rows}
    trained.update({row.persona.id: row.persona for row in rows if row.persona is not None})
    return prove_disjoint({"training": list(trained.values()), **evaluation})
