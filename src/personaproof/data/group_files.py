"""Meta-groups as JSON lines: one group a line, each variant with its messages.

A line is ``{"domain", "latent", "variants": [{"role": "anchor"|"open", "context", "messages": [{"role", "content"},
...], "reward", "answer", "template", "persona": {"text", "name", "family"}, "request": {"text", "harmful", "intent",
"category"}}, ...]}``. template, persona and request may be left out. A source is a path, ``pack:NAME`` or ``hf:...``,
as for requests; tables (CSV) have no form for variants.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from personaproof.core import Conversation, DataError, Message, Persona, Request, suggest
from personaproof.data.load import Duplicate, Loaded, read_source
from personaproof.data.metagroups import MetaGroup, Variant, VariantRole
from personaproof.data.rows import Row


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Message(_Part):
    role: Literal["system", "user", "assistant"]
    content: str


class _Persona(_Part):
    text: str
    name: str = ""
    family: str = ""


class _Request(_Part):
    text: str
    harmful: bool
    intent: str = ""
    category: str = ""


class _Variant(_Part):
    role: VariantRole
    context: str
    messages: list[_Message] = Field(min_length=1)
    reward: str
    answer: str
    template: str = ""
    persona: _Persona | None = None
    request: _Request | None = None

    def build(self) -> Variant:
        return Variant(
            self.role,
            self.context,
            Conversation(tuple(Message(message.role, message.content) for message in self.messages)),
            self.reward,
            self.answer,
            self.template,
            None if self.persona is None else Persona(**self.persona.model_dump()),
            None if self.request is None else Request(**self.request.model_dump()),
        )


class _Group(_Part):
    domain: str
    latent: str
    variants: list[_Variant]


def load_groups(source: str | Path) -> Loaded[MetaGroup]:
    """Meta-groups from `source`. Rows of equal content id are merged and listed in `Loaded.duplicates`.

    Raises DataError, with the file and line, for a row that is no meta-group: an unknown key, a missing field, no
    anchor or no open variant, a variant that nothing could mark.
    """
    table = read_source(source)
    kept: dict[str, tuple[Row, MetaGroup]] = {}
    duplicates = []
    for row in table.rows:
        group = _group(row)
        if group.id in kept:
            duplicates.append(Duplicate(group.id, kept[group.id][0].place, row.place))
        else:
            kept[group.id] = (row, group)
    groups = tuple(group for _, group in kept.values())
    return Loaded(groups, table.source, table.sha256, "variants", tuple(duplicates))


def read_groups(path: Path) -> list[MetaGroup]:
    """The groups that `write_groups` wrote, in order. Raises DataError as `load_groups`, and for a group that comes
    twice: such a file is not one of ours."""
    loaded = load_groups(path)
    if loaded.duplicates:
        first = loaded.duplicates[0]
        raise DataError(f"{first.dropped}: the same meta-group as {first.kept}; remove one of them.")
    return list(loaded.items)


def write_groups(groups: Iterable[MetaGroup], path: Path) -> None:
    """Write `groups`, a line each. Reading them back gives equal groups."""
    lines = [json.dumps(_as_dict(group), ensure_ascii=False) + "\n" for group in groups]
    path.write_text("".join(lines), encoding="utf-8")


def _group(row: Row) -> MetaGroup:
    try:
        # A Hub dataset fills what a row leaves out with nulls, so a null is as good as absent.
        parsed = _Group.model_validate(_without_nulls(row.fields))
        return MetaGroup(parsed.domain, parsed.latent, tuple(variant.build() for variant in parsed.variants))
    except ValidationError as error:
        raise DataError(f"{row.place}: {_problems(error)}") from None
    except ValueError as error:
        raise DataError(f"{row.place}: {error}.") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _as_dict(group: MetaGroup) -> dict[str, Any]:
    return {"domain": group.domain, "latent": group.latent, "variants": [_variant(v) for v in group.variants]}


def _variant(variant: Variant) -> dict[str, Any]:
    line: dict[str, Any] = {
        "role": variant.role,
        "context": variant.context,
        "messages": variant.conversation.as_dicts(),
        "reward": variant.reward,
        "answer": variant.answer,
    }
    if variant.template:
        line["template"] = variant.template
    if variant.persona is not None:
        line["persona"] = _present(variant.persona, ("text", "name", "family"))
    if variant.request is not None:
        line["request"] = _present(variant.request, ("text", "harmful", "intent", "category"))
    return line


def _present(item: Persona | Request, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(item, name)) != ""}


_FIELDS = sorted({name for part in (_Group, _Variant, _Message, _Persona, _Request) for name in part.model_fields})


def _problems(error: ValidationError) -> str:
    parts = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            parts.append(f"unknown key {key!r}; {suggest(str(problem['loc'][-1]), _FIELDS)}")
        else:
            parts.append(f"{key}: {problem['msg']}.")
    return " ".join(parts)
