"""Finished pieces of a study in its folder, so that an interrupted one goes on piece by piece.

Not in the store: a completion's key knows the model and not what was done to its activations, so steered answers would
pass for the model's own there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from personaproof.core import StoreError
from personaproof.directions.files import _write

FOLDER = "gate"
"""Of a run directory: where the study keeps its directions and cells."""
PERSONA_DIRECTION = "persona-direction"
"""Of a run directory: the direction that the study pushed with, as files for other tools."""
ABOUT = "about"


class Kept:
    """JSON pieces and tensors under `folder`, each written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, name: str) -> dict[str, Any] | None:
        """None where it was not finished. Raises StoreError where it cannot be read."""
        path = self.folder / f"{name}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path} cannot be read ({error}); remove it, and the same command makes it anew."
            ) from None
        if not isinstance(content, dict):
            raise StoreError(f"{path} does not hold a JSON object; remove it, and the same command makes it anew.")
        return content

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        self._put(f"{name}.json", (json.dumps(content, sort_keys=True, allow_nan=False) + "\n").encode())

    def read_tensors(self, name: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and what was written about them; as `read`."""
        path = self.folder / f"{name}.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                return {key: file.get_tensor(key) for key in file.keys()}, json.loads(file.metadata()[ABOUT])  # noqa: SIM118
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path} cannot be read ({error}); remove it, and the same command makes it anew."
            ) from None

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        payload = save({key: value.contiguous() for key, value in tensors.items()}, {ABOUT: json.dumps(about)})
        self._put(f"{name}.safetensors", payload)

    def _put(self, name: str, payload: bytes) -> None:
        path = self.folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, payload)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written ({error.strerror or error}); mend that and run the same command again, "
                "which continues."
            ) from error
