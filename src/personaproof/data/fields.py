"""Finding named fields in rows, and taking texts out of them with an error that says where and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from personaproof.core import DataError, normalise_text, suggest
from personaproof.data.rows import Row


def key(name: str) -> str:
    """Names that differ in letter case or separators only are one field: SemanticCategory is semantic_category."""
    return "".join(char for char in name.casefold() if char not in "_- ")


def find(row: Row, aliases: Iterable[str]) -> str | None:
    """The row's field that the first fitting alias names; of two that fit it ("Prompt", "prompt") the exact one."""
    present: dict[str, list[str]] = {}
    for name in row.fields:
        present.setdefault(key(name), []).append(name)
    for alias in aliases:
        names = present.get(key(alias), [])
        if names:
            return alias if alias in names else names[0]
    return None


def text_field(row: Row, aliases: Sequence[str], override: str | None) -> str:
    """The field that holds the text: `override`, or the first alias that `row` has. Raises DataError listing the fields
    found when there is none."""
    found = ", ".join(row.fields) or "none"
    if override is not None:
        if override not in row.fields:
            raise DataError(f"{row.place}: no field is called {override!r}; {suggest(override, row.fields)}")
        return override
    column = find(row, aliases)
    if column is None:
        raise DataError(
            f"{row.place}: none of the fields found ({found}) is known to hold the text; known names are "
            f"{', '.join(aliases)}. Rename one, or name it with field=NAME; on the command line, with "
            "#field=NAME after the source."
        )
    return column


def text(row: Row, column: str) -> str:
    """The text in `column` without outer white space. Raises DataError where it is missing, empty, broken, no text."""
    if column not in row.fields:
        raise DataError(f"{row.place}: no field {column!r} (found: {', '.join(row.fields) or 'none'}).")
    value = row.fields[column]
    if not isinstance(value, str):
        raise DataError(f"{row.place}: {column!r} must be a text, not {_kind(value)}.")
    if not normalise_text(value):
        raise DataError(f"{row.place}: {column!r} is empty; give it a text or remove the row.")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"{row.place}: {column!r} holds half of a surrogate pair; mend the broken character.") from None
    return value.strip()


def label(row: Row, aliases: Iterable[str]) -> str:
    """A descriptive field (name, category, intent), "" where the row has none. Numbers will do; lists will not."""
    for alias in aliases:
        column = find(row, (alias,))
        value = None if column is None else row.fields[column]
        if value is None or value == "":
            continue
        if not isinstance(value, str | int | float):
            raise DataError(f"{row.place}: {column!r} must be a text, not {_kind(value)}.")
        if normalised := normalise_text(str(value)):
            return normalised
    return ""


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
