"""Requests and personas: loading, built-in packs, and splits that share no intent and no lineage family."""

from personaproof.data.builtin import pack_names
from personaproof.data.families import families_of, join_families, shared_families
from personaproof.data.load import Duplicate, Loaded, load_personas, load_requests
from personaproof.data.splits import intent_of, prove_disjoint, split_personas, split_requests

__all__ = [
    "Duplicate",
    "Loaded",
    "families_of",
    "intent_of",
    "join_families",
    "load_personas",
    "load_requests",
    "pack_names",
    "prove_disjoint",
    "shared_families",
    "split_personas",
    "split_requests",
]
