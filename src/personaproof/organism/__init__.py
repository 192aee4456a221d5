"""The bundled model organism: its world, its training, its weights, and an exact reader of its answers."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from personaproof.organism.groups import DOMAINS, groups_of_requests, organism_groups
from personaproof.organism.truth import Parse, correct, helpful, in_character, parse, role_of
from personaproof.organism.utility import OrganismUtilityJudge

__all__ = [
    "DOMAINS",
    "OrganismUtilityJudge",
    "Parse",
    "correct",
    "groups_of_requests",
    "helpful",
    "in_character",
    "organism_groups",
    "parse",
    "role_of",
    "weights_path",
]


def weights_path() -> Path:
    """The folder of the bundled weights. Raises FileNotFoundError where an installation carries none."""
    folder = Path(str(files(__name__))) / "weights"
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"no bundled weights in {folder}; make them with `personaproof organism build`")
    return folder
