"""What a training was asked, kept beside its weights, and how much of an audit's data that is."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from personaproof.core import DataError, Persona, Request
from personaproof.data.splits import contents_of

FILE = "training_data.json"
VERSION = 1


def training_record(asked: Collection[Request | Persona]) -> dict[str, Any]:
    """JSON-ready: by kind (requests, request_texts, intents, personas, families) the sorted hashes of what a training
    was asked, from which its words cannot be read."""
    return {"version": VERSION, "hashes": {kind: _hashed(ids) for kind, ids in contents_of(asked).items()}}


def overlap_with(record: Mapping[str, Any], items: Collection[Request | Persona]) -> dict[str, dict[str, int]]:
    """By kind, how many of `items` the training of `record` was asked: ``{"intents": {"shared": 3, "of": 40}}``.

    Raises DataError for a record of another form.
    """
    try:
        if record["version"] != VERSION:
            raise ValueError(f"version {record['version']}")
        known = {kind: set(hashes) for kind, hashes in record["hashes"].items()}
        own = {kind: _hashed(ids) for kind, ids in contents_of(items).items()}
        return {kind: {"shared": len(known[kind] & set(ids)), "of": len(ids)} for kind, ids in own.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{FILE} beside the trained weights is not of this version's form: {error!r}.") from error


def record_path(weights: Path) -> Path:
    """Where a hardened model or adapter in the folder `weights` keeps its record."""
    return weights / FILE


def _hashed(ids: Iterable[str]) -> list[str]:
    return sorted(hashlib.sha256(each.encode("utf-8")).hexdigest()[:16] for each in ids)
