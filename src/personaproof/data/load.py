"""Loading requests and personas from files, Hub datasets and built-in packs.

A source is a path (JSONL, JSON array, CSV, TSV; see `personaproof.data.files`), ``pack:NAME``, or
``hf:OWNER/NAME[/CONFIG][@REVISION][:SPLIT]``. A field is found by the first of these names that fits, letter case and
``_``, ``-``, space apart:

- request text: `REQUEST_TEXT`; category: `CATEGORY`; intent: `INTENT` (a field that is the text does not count), else
  the request's own id: every request is its own intent; safety label: `personaproof.data.labels`;
- persona text: `PERSONA_TEXT`; name: `NAME`; family: `FAMILY` (``a+b`` descends from both), else the persona's own id:
  every seed founds a lineage.

The text's field is settled by the first row and must then be in every row. Outer white space is dropped from texts,
inner white space kept. Rows of equal content id are merged into the first and listed in `Loaded.duplicates`.

Two published layouts carry part of the request in a second field, and it is not lost: Alpaca's ``input`` follows the
``instruction`` after a blank line, and HarmBench's ``ContextString`` goes before the behavior as HarmBench joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Generic, TypeVar

from personaproof.core import DataError, Persona, Request
from personaproof.data import builtin, hub
from personaproof.data.fields import find, key, label, text, text_field
from personaproof.data.files import read_file
from personaproof.data.labels import safety_labels
from personaproof.data.rows import Row, Table

REQUEST_TEXT = (
    "prompt",
    "goal",
    "forbidden_prompt",
    "question",
    "behavior",
    "instruction",
    "request",
    "query",
    "user_prompt",
    "text",
)
CATEGORY = ("category", "semantic_category", "risk_category", "topic", "type")
INTENT = ("intent", "intent_id", "theme", "behavior_id", "behavior")
PERSONA_TEXT = (
    "persona",
    "system_prompt",
    "system",
    "persona_prompt",
    "character_prompt",
    "description",
    "character",
    "text",
)
NAME = ("name", "title", "role", "act")
FAMILY = ("family", "lineage", "lineage_family")

T = TypeVar("T")
Item = TypeVar("Item", Request, Persona)


@dataclass(frozen=True)
class Duplicate:
    """A row merged into an earlier one of the same content id. `differs` names what the dropped row said otherwise."""

    id: str
    kept: str
    dropped: str
    differs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loaded(Generic[T]):
    """What a source held. `items` are unique by id, in the source's order; rows = items + duplicates + filtered."""

    items: tuple[T, ...]
    source: str
    sha256: str
    field: str
    """The field that the texts came from."""
    duplicates: tuple[Duplicate, ...] = ()
    filtered: int = 0
    """Rows left out by `filter_labels` because their label was the other one."""

    def describe(self) -> str:
        """One line for the user: what was read, from where, and what was merged or left out."""
        noun = type(self.items[0]).__name__.lower() + ("s" if len(self.items) > 1 else "")
        notes = [f"{len(self.items)} {noun} from {self.source}"]
        if self.duplicates:
            notes.append(f"duplicate rows merged: {len(self.duplicates)}")
        if self.filtered:
            notes.append(f"rows with the other label left out: {self.filtered}")
        return "; ".join(notes)


def load_requests(
    source: str | Path, *, harmful: bool, field: str | None = None, filter_labels: bool = False
) -> Loaded[Request]:
    """Requests of one kind, harmful or benign, from `source`.

    `field` names the field of the text where no alias fits or the wrong one is taken. A row that carries a safety label
    must agree with `harmful`; with `filter_labels` every row must carry one, and those of the other kind are left out
    and counted. Raises DataError, with the place, for whatever cannot be used; nothing is skipped in silence.
    """
    table = read_source(source)
    column = text_field(table.rows[0], REQUEST_TEXT, field)
    intent_aliases = [alias for alias in INTENT if key(alias) != key(column)]

    def build(row: Row) -> Request:
        body = _request_text(row, column)
        intent = label(row, intent_aliases) or Request(body, harmful).id
        return Request(body, harmful, intent, label(row, CATEGORY))

    rows = _rows_of_kind(table, harmful, filter_labels)
    items, duplicates = _merge(rows, build, "intent")
    return Loaded(items, table.source, table.sha256, column, duplicates, len(table.rows) - len(rows))


def load_personas(source: str | Path, *, field: str | None = None) -> Loaded[Persona]:
    """Personas from `source`; `field` as in `load_requests`. Raises DataError, with the place."""
    table = read_source(source)
    column = text_field(table.rows[0], PERSONA_TEXT, field)

    def build(row: Row) -> Persona:
        body = text(row, column)
        return Persona(body, label(row, NAME), label(row, FAMILY) or Persona(body).id)

    items, duplicates = _merge(table.rows, build, "family")
    return Loaded(items, table.source, table.sha256, column, duplicates)


def read_source(source: str | Path) -> Table:
    """The rows of a path, ``pack:NAME`` or ``hf:...``; raises DataError for a source that cannot be read."""
    if isinstance(source, str) and source.startswith(hub.PREFIX):
        return hub.read_hub(source)
    if isinstance(source, str) and source.startswith(builtin.PREFIX):
        return builtin.read_pack(source)
    return read_file(Path(source))


def _request_text(row: Row, column: str) -> str:
    body = text(row, column)
    context = find(row, ("ContextString",)) if key(column) == "behavior" else None
    if context is not None and row.fields[context]:
        return f"{text(row, context)}\n\n---\n\n{body}"
    attached = find(row, ("input",)) if key(column) == "instruction" else None
    if attached is not None and row.fields[attached]:
        return f"{body}\n\n{text(row, attached)}"
    return body


def _rows_of_kind(table: Table, harmful: bool, filter_labels: bool) -> Sequence[Row]:
    asked, other = ("harmful", "benign") if harmful else ("benign", "harmful")
    labels = safety_labels(table.rows)
    if not filter_labels:
        wrong = [row for row, says in zip(table.rows, labels, strict=True) if says is (not harmful)]
        if wrong:
            raise DataError(
                f"{wrong[0].place}: labelled {other}, but {asked} requests were asked for ({len(wrong)} of "
                f"{len(table.rows)} rows). Keep only its {asked} rows with filter_labels=True, on the command line "
                "#filter-labels after the source; or filter the file."
            )
        return table.rows
    for row, says in zip(table.rows, labels, strict=True):
        if says is None:
            raise DataError(
                f"{row.place}: no label, but to filter by label every row needs one (harmful: true or false)."
            )
    rows = [row for row, says in zip(table.rows, labels, strict=True) if says is harmful]
    if not rows:
        raise DataError(f"{table.source} has no row labelled {asked}.")
    return rows


def _merge(
    rows: Iterable[Row], build: Callable[[Row], Item], group: str
) -> tuple[tuple[Item, ...], tuple[Duplicate, ...]]:
    """Unique items by id, first come first kept, and the rows that were merged into them.

    Raises DataError where a duplicate claims another `group` (intent or family): whichever were kept, a split by group
    could put the same text on both sides.
    """
    kept: dict[str, tuple[Row, Item]] = {}
    duplicates = []
    for row in rows:
        item = build(row)
        if item.id not in kept:
            kept[item.id] = (row, item)
            continue
        first_row, first = kept[item.id]
        differs = tuple(f.name for f in fields(item) if getattr(item, f.name) != getattr(first, f.name))
        if group in differs:
            raise DataError(
                f"{row.place}: the same text as {first_row.place} under another {group} "
                f"({getattr(item, group)!r}, {getattr(first, group)!r}); give both the same, or remove one."
            )
        duplicates.append(Duplicate(item.id, first_row.place, row.place, differs))
    return tuple(item for _, item in kept.values()), tuple(duplicates)
