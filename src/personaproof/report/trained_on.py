"""How much of an audit's data the audited model was trained on, from the ``trained_on`` of its summary."""

from __future__ import annotations

from collections.abc import Mapping

from personaproof.core import DataError
from personaproof.report.section import Section, Table

_WORDS = {
    "intents": ("intents", "Intents of requests"),
    "requests": ("requests", "Requests"),
    "families": ("lineage families", "Lineage families of personas"),
    "personas": ("personas", "Personas"),
}
_SAID = ("intents", "families")
"""A request or persona is shared only where its intent or family is."""

Overlap = Mapping[str, Mapping[str, int]]


def trained_on_sentence(overlap: Overlap) -> str:
    """What the reader must know before any number; "" where nothing is shared."""
    parts = [
        f"{overlap[kind]['shared']} of this audit's {overlap[kind]['of']} {_WORDS[kind][0]}"
        for kind in _SAID
        if overlap[kind]["shared"]
    ]
    if not parts:
        return ""
    return f"The model was trained on {' and '.join(parts)}: these numbers flatter it. Audit it with others."


def build_trained_on(overlap: Overlap | None) -> Section | None:
    """The section; None where the model has no record of its training. Raises DataError for another form."""
    if overlap is None:
        return None
    try:
        rows = tuple(
            (words[1], str(overlap[kind]["shared"]), str(overlap[kind]["of"])) for kind, words in _WORDS.items()
        )
        sentence = trained_on_sentence(overlap)
    except (KeyError, TypeError) as error:
        raise DataError(f"the summary's trained_on is not of this version's form: {error!r}; audit again.") from error
    return Section(
        "trained-on",
        "What of this the model was trained on",
        "Compared with the record beside the trained weights, by hashes.",
        tables=(Table("Shared with the training", ("What", "Shared", "In this audit"), rows),),
        verdict=sentence or "Nothing of this audit was part of the training.",
    )
