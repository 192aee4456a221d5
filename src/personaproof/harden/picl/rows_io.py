"""Rows as JSON lines, in the form of the PIA authors' training files.

A line is ``{"type": "dpo"|"sft", "has_persona", "persona", "prompt", "chosen", "rejected"}``. Ours adds the type
"preserve" and, where they differ from what the type implies, "harmful", "framing" and the two "complete" flags.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from personaproof.core import DataError, Persona, Request, suggest
from personaproof.harden.picl.rows import Kind, Row

_KINDS: dict[str, Kind] = {"dpo": "preference", "sft": "sft", "preserve": "preserve"}
_TYPES = {kind: name for name, kind in _KINDS.items()}


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["dpo", "sft", "preserve"]
    has_persona: bool
    persona: str | None = None
    prompt: str
    chosen: str
    rejected: str | None = None
    harmful: bool | None = None
    framing: str = "auto"
    chosen_complete: bool = True
    rejected_complete: bool = True
    persona_family: str = ""
    intent: str = ""
    category: str = ""


def write_rows(rows: Iterable[Row], path: Path) -> None:
    """Write `rows`, a line each. Reading them back gives equal rows."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(_as_dict(row), ensure_ascii=False) + "\n")


def read_rows(path: Path) -> list[Row]:
    """Rows of a JSONL file; blank lines are passed over. Raises DataError naming the line that is wrong, or when the
    file is missing or holds no row."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"no training rows at {path}; give the path of a JSONL file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}.") from None
    # Not str.splitlines: it also breaks at U+2028 and its kin, which JSON allows inside a string.
    lines = enumerate(text.split("\n"), start=1)
    rows = [_row(line, f"{path}, line {number}") for number, line in lines if line.strip()]
    if not rows:
        raise DataError(f"{path} holds no training rows.")
    return rows


def _row(line: str, where: str) -> Row:
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error}).") from None
    if not isinstance(content, dict):
        raise DataError(f"{where}: expected an object with keys, found {type(content).__name__}.")
    try:
        parsed = _Line.model_validate(content)
    except ValidationError as error:
        raise DataError(f"{where}: {_problems(error)}") from None
    persona_text = parsed.persona or ""
    if parsed.has_persona != bool(persona_text.strip()):
        raise DataError(
            f"{where}: has_persona is {str(parsed.has_persona).lower()}, but persona is {parsed.persona!r}."
        )
    try:
        harmful = parsed.type == "dpo" if parsed.harmful is None else parsed.harmful
        request = Request(parsed.prompt, harmful, intent=parsed.intent, category=parsed.category)
        persona = Persona(persona_text, family=parsed.persona_family) if parsed.has_persona else None
        # The published files carry an empty "rejected" on sft lines.
        rejected = parsed.rejected or None
        return Row(
            _KINDS[parsed.type],
            request,
            persona,
            parsed.chosen,
            rejected,
            parsed.framing,
            parsed.chosen_complete,
            parsed.rejected_complete,
        )
    except ValueError as error:
        raise DataError(f"{where}: {error}.") from None


def _as_dict(row: Row) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": _TYPES[row.kind],
        "has_persona": row.persona is not None,
        "persona": row.persona.text if row.persona else None,
        "prompt": row.request.text,
        "chosen": row.chosen,
        "rejected": row.rejected,
    }
    if row.request.harmful != (row.kind == "preference"):
        line["harmful"] = row.request.harmful
    optional = {
        "framing": (row.framing, "auto"),
        "chosen_complete": (row.chosen_complete, True),
        "rejected_complete": (row.rejected_complete, True),
        "persona_family": (row.persona.family if row.persona else "", ""),
        "intent": (row.request.intent, ""),
        "category": (row.request.category, ""),
    }
    line.update({key: value for key, (value, default) in optional.items() if value != default})
    return line


def _problems(error: ValidationError) -> str:
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {key!r}; {suggest(key, _Line.model_fields)}")
        else:
            parts.append(f"{key}: {problem['msg']}.")
    return " ".join(parts)
