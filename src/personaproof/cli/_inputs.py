"""Loading what the user named, and saying what was read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personaproof.cli._console import console
from personaproof.core import DataError, Persona, Request, suggest
from personaproof.data import Loaded, MetaGroup, load_groups, load_personas, load_requests

OPTIONS = ("field=NAME", "filter-labels")


@dataclass(frozen=True)
class Source:
    """What a data option holds: an address as the loaders take it, and how to read it, written after a ``#``."""

    address: str
    field: str | None = None
    filter_labels: bool = False

    @classmethod
    def parse(cls, text: str) -> Source:
        """Read ``ADDRESS[#OPTION[,OPTION]]``, where an option is one of `OPTIONS`. Raises DataError for another.

        A file whose very name holds a ``#`` is taken as it is.
        """
        address, mark, options = text.rpartition("#")
        if not mark or Path(text).exists():
            return cls(text)
        field, filter_labels = None, False
        for option in options.split(","):
            name, _, value = option.partition("=")
            if name == "field" and value:
                field = value
            elif option == "filter-labels":
                filter_labels = True
            else:
                raise DataError(
                    f"{text}: after '#' come options, and none is called {option!r}; {suggest(option, OPTIONS)}"
                )
        return cls(address, field, filter_labels)

    def options(self) -> dict[str, Any]:
        """What was asked for beyond the address, for the manifest."""
        chosen = {"field": self.field, "filter_labels": self.filter_labels}
        return {name: value for name, value in chosen.items() if value}


class Inputs:
    """Requests, personas and meta-groups of one command, with the hashes that go into its manifest."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def requests(self, text: str, *, harmful: bool) -> list[Request]:
        """Load, report what was read, and remember the hash. Raises DataError."""
        source = Source.parse(text)
        loaded = load_requests(source.address, harmful=harmful, field=source.field, filter_labels=source.filter_labels)
        return list(self._note("harmful" if harmful else "benign", loaded, source).items)

    def personas(self, text: str, *, kind: str = "personas") -> list[Persona]:
        """As `requests`; `kind` is their name in the manifest."""
        source = Source.parse(text)
        if source.filter_labels:
            raise DataError(f"{text}: personas carry no safety labels; leave filter-labels out.")
        return list(self._note(kind, load_personas(source.address, field=source.field), source).items)

    def groups(self, text: str, *, kind: str = "groups") -> list[MetaGroup]:
        """As `requests`; meta-groups have no columns to choose from."""
        return list(self._note(kind, load_groups(text), Source(text)).items)

    def _note(self, kind: str, loaded: Loaded[Any], source: Source) -> Loaded[Any]:
        console.print(loaded.describe(), highlight=False, markup=False)
        self.settings[kind] = {"source": loaded.source, "sha256": loaded.sha256, **source.options()}
        return loaded
