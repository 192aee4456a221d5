"""A run directory that another command left, read before work that leans on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personaproof.core import StoreError
from personaproof.store.files import read_json
from personaproof.store.manifest import Manifest, differences, read_manifest


@dataclass(frozen=True)
class FinishedRun:
    """The manifest and summary of a run of one command that came to its end."""

    folder: Path
    manifest: Manifest
    summary: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, command: str) -> FinishedRun:
        """Raises StoreError where `folder` holds no run of `command`, or one without a summary."""
        manifest, summary = read_manifest(folder / "manifest.json"), read_json(folder / "summary.json")
        if manifest is None or summary is None or manifest.command != command:
            raise StoreError(
                f"{folder} is no finished run of `personaproof {command}`; give the --out of one, or run the command "
                "that made it again, which finishes it."
            )
        return cls(folder, manifest, summary)

    def check(self, asked: Mapping[str, Any]) -> None:
        """Raises StoreError where the run had other settings than those named in `asked`."""
        then = {name: self.manifest.settings.get(name) for name in asked}
        if differing := differences(then, asked):
            raise StoreError(
                f"{self.folder} cannot be compared with: its settings differ ({differing}). Give the settings of that "
                "run (--recipe, --set, --judge), or run it again with these."
            )
