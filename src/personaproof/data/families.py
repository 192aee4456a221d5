"""Lineage families: seed personas name them, descendants inherit them, and crossover joins them.

A crossover child belongs to the families of both parents, written ``a+b``. Two sets of personas are disjoint by family
when no persona of one shares any part with a persona of the other.
"""

from __future__ import annotations

from collections.abc import Iterable

from personaproof.core import Persona

SEPARATOR = "+"


def families_of(persona: Persona) -> frozenset[str]:
    """Every family that `persona` descends from. A persona that names none is a family of its own, called by its id, so
    that a leakage check never mistakes two unnamed personas for relatives."""
    parts = frozenset(part for part in persona.family.split(SEPARATOR) if part)
    return parts or frozenset({persona.id})


def join_families(families: Iterable[str]) -> str:
    """The family name of a persona that descends from all of `families`: sorted, so that it does not depend on which
    parent came first."""
    return SEPARATOR.join(sorted(set(families)))


def shared_families(left: Iterable[Persona], right: Iterable[Persona]) -> frozenset[str]:
    """The families that both sets of personas descend from; empty when they are disjoint."""
    ours = frozenset[str]().union(*(families_of(persona) for persona in left))
    theirs = frozenset[str]().union(*(families_of(persona) for persona in right))
    return ours & theirs


def clans(personas: Iterable[Persona]) -> dict[str, str]:
    """For each family, the clan it belongs to: the families that `personas` tie together, directly or through others,
    by their joined name. A persona ``a+b`` puts ``a`` and ``b`` into one clan; a family joined to none is its own."""
    tied: dict[str, frozenset[str]] = {}
    for persona in personas:
        families = families_of(persona)
        merged = families.union(*(tied[family] for family in families if family in tied))
        tied.update(dict.fromkeys(merged, merged))
    return {family: join_families(merged) for family, merged in tied.items()}
