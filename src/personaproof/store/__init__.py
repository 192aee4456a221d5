"""Runs, completions, verdicts and lineage in SQL; collecting so that a killed run continues where it stopped."""

from personaproof.store.collect import Collector
from personaproof.store.files import file_hash, write_json, write_text
from personaproof.store.finished import FinishedRun
from personaproof.store.lineage import Discovery
from personaproof.store.manifest import Manifest
from personaproof.store.rundir import RunDirectory
from personaproof.store.store import Store

__all__ = [
    "Collector",
    "Discovery",
    "FinishedRun",
    "Manifest",
    "RunDirectory",
    "Store",
    "file_hash",
    "write_json",
    "write_text",
]
