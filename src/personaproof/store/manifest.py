"""The manifest of a run: what decided its numbers, and whether a rerun is the same run."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from reprlib import repr as short
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from personaproof.core import StoreError, content_id
from personaproof.store.database import display_name
from personaproof.store.files import read_json, write_json

_PACKAGES = ("personaproof", "torch", "transformers", "tokenizers", "peft", "accelerate", "trl", "numpy", "scipy")


class Manifest(BaseModel):
    """How a run came about. Times are here and never in summary.json, which must not depend on them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    manifest_version: Literal[1] = 1
    command: str
    created: str
    settings: dict[str, Any]
    """Whatever decides the numbers: recipe, seeds, model fingerprint, template hash, data hashes. Reruns must match."""
    details: dict[str, Any] = {}
    """What else a reader wants to know: model name, proof that the splits are disjoint."""
    versions: list[dict[str, str]]
    """Of Python and packages; a further entry for each continuation under other versions."""
    store: str
    run_id: str


def versions() -> dict[str, str]:
    """Python's version and those of the packages that decide numbers, as far as installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def continue_or_create(
    path: Path, command: str, settings: Mapping[str, Any], details: Mapping[str, Any], store_url: str | None
) -> Manifest:
    """The manifest in `path`, new or continued. Raises StoreError where one of another command or other settings, or
    one that cannot be read, is there."""
    # Through JSON, so that a tuple equals the list it is read back as.
    wanted = json.loads(json.dumps(dict(settings), allow_nan=False))
    store = display_name(store_url) if store_url else "run.sqlite"
    manifest = read_manifest(path / "manifest.json")
    if manifest is None:
        manifest = Manifest(
            command=command,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            settings=wanted,
            details=json.loads(json.dumps(dict(details), allow_nan=False)),
            versions=[versions()],
            store=store,
            run_id=content_id("run", [command, wanted]),
        )
    else:
        _check_same(path, manifest, command, wanted, store)
        if manifest.versions[-1] != versions():
            manifest = manifest.model_copy(update={"versions": [*manifest.versions, versions()]})
    write_json(path / "manifest.json", manifest.model_dump())
    return manifest


def _check_same(path: Path, manifest: Manifest, command: str, settings: Mapping[str, Any], store: str) -> None:
    then = {"command": manifest.command, "store": manifest.store, **manifest.settings}
    if differing := differences(then, {"command": command, "store": store, **settings}):
        raise StoreError(
            f"{path} belongs to a run with other settings ({differing}); choose another --out, or use the same "
            "settings to continue it."
        )


def differences(then: Mapping[str, Any], now: Mapping[str, Any], most: int = 5) -> str:
    """What differs between two nested settings, the first `most` by name; empty where nothing does. Values are cut
    short: a pack's texts are long."""
    before, after = _flat(then), _flat(now)
    differing = [name for name in sorted({*before, *after}) if before.get(name) != after.get(name)]
    told = [f"{name} was {short(before.get(name))}, now {short(after.get(name))}" for name in differing[:most]]
    return "; ".join(told) + ("; ..." if differing[most:] else "")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat.update(_flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value})
    return flat


def read_manifest(path: Path) -> Manifest | None:
    """None where there is no file; StoreError where it is no manifest."""
    content = read_json(path)
    try:
        return None if content is None else Manifest.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise StoreError(
            f"{path} is not a manifest of this personaproof version ({where}: {problem['msg']}); choose another --out."
        ) from None
