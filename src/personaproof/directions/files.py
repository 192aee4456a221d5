"""Directions on disk: a safetensors file and a JSON sidecar beside it. Nothing is pickled, so nothing can run."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save

from personaproof.core import StoreError
from personaproof.directions.direction import Direction

SCHEMA = 1
TENSOR = "direction"
_DESCRIBED = {field.name for field in fields(Direction)} - {"vector"}


class _Sidecar(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    schema_version: int
    sha256: str
    """Of the safetensors file, so that the two cannot be of different directions."""
    width: int = Field(ge=1)
    norm: float = Field(gt=0, allow_inf_nan=False)
    layer: int = Field(ge=0)
    position: str
    method: str
    model: str
    fingerprint: str
    architecture: str
    template: str
    data: str
    activation_norm: float = Field(ge=0, allow_inf_nan=False)


def save_direction(direction: Direction, path: str | Path) -> Path:
    """Write ``PATH.safetensors`` and ``PATH.json`` (an ending .safetensors of `path` is taken off), each whole or not
    at all. Returns the safetensors path. Raises StoreError where they cannot be written."""
    tensors, sidecar = _places(path)
    payload = save({TENSOR: direction.vector.detach().cpu().contiguous()})
    about = {name: getattr(direction, name) for name in _DESCRIBED}
    content = _Sidecar.model_validate(
        {
            "schema_version": SCHEMA,
            "sha256": hashlib.sha256(payload).hexdigest(),
            "width": len(direction.vector),
            "norm": direction.norm,
            **about,
        }
    )
    try:
        tensors.parent.mkdir(parents=True, exist_ok=True)
        _write(tensors, payload)
        _write(sidecar, (json.dumps(content.model_dump(), indent=2, sort_keys=True) + "\n").encode())
    except OSError as error:
        raise StoreError(f"{tensors} cannot be written ({error.strerror or error}); choose another path.") from error
    return tensors


def load_direction(path: str | Path) -> Direction:
    """Read what `save_direction` wrote. Whether it fits a model is for `check_fits` to say.

    Raises StoreError where a file is missing, damaged, of another format, or the two do not belong together.
    """
    tensors, sidecar = _places(path)
    payload, text = _read(tensors), _read(sidecar)
    try:
        version = json.loads(text).get("schema_version")
        if version != SCHEMA:
            raise StoreError(f"{sidecar} is of format {version!r}, not {SCHEMA}; make the direction anew.")
        about = _Sidecar.model_validate_json(text)
    except (ValidationError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{sidecar} does not describe a direction ({reason}); make the direction anew.") from None
    if hashlib.sha256(payload).hexdigest() != about.sha256:
        raise StoreError(
            f"{tensors} is damaged, or {sidecar.name} is of another direction; restore both from one copy, or make the "
            "direction anew."
        )
    try:
        vector = load(payload)[TENSOR]
        if vector.shape != (about.width,):
            raise ValueError(f"its shape is {tuple(vector.shape)}, not ({about.width},)")
        return Direction(vector=vector, **about.model_dump(include=_DESCRIBED))
    except (SafetensorError, KeyError, ValueError) as error:
        raise StoreError(f"{tensors} does not hold a direction ({error}); make the direction anew.") from None


def _places(path: str | Path) -> tuple[Path, Path]:
    # Not with_suffix: a name such as "refusal-0.5" has no suffix to replace.
    stem = str(path).removesuffix(".safetensors").removesuffix(".json")
    return Path(f"{stem}.safetensors"), Path(f"{stem}.json")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StoreError(f"no {path}; a direction is a .safetensors file with a .json beside it.") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read ({error.strerror or error}); check its permissions.") from error


def _write(path: Path, payload: bytes) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
