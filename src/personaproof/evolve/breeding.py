"""From chosen parents to new personas in the lineage. Shared by every strategy that mutates."""

from __future__ import annotations

import random
from collections.abc import Sequence

from personaproof.core import Persona
from personaproof.data import families_of, join_families
from personaproof.evolve.evidence import Candidate
from personaproof.evolve.lineage import Lineage
from personaproof.evolve.mutation import MUTATIONS, Child, Operation, Variation
from personaproof.evolve.mutation.proposal import count_words
from personaproof.evolve.recipe import EvolveRecipe


class Breeder:
    """Draws an operation, has a child made, and enters it into the lineage."""

    def __init__(self, recipe: EvolveRecipe, lineage: Lineage, variation: Variation, rng: random.Random) -> None:
        self._recipe = recipe
        self._lineage = lineage
        self._variation = variation
        self._rng = rng

    def operation_for(self, parent: Persona, can_cross: bool, crossover: bool | None = None) -> Operation:
        """Crossover with the recipe's probability, or as `crossover` says; else a mutation: contract for a parent that
        is too long, expand for one that is too short, and one of the four at random otherwise."""
        if can_cross and (self._rng.random() < self._recipe.crossover_share if crossover is None else crossover):
            return Operation.CROSSOVER
        words = count_words(parent.text)
        if words > self._recipe.max_words:
            return Operation.CONTRACT
        if words < self._recipe.min_words:
            return Operation.EXPAND
        return self._rng.choice(MUTATIONS)

    def breed(
        self, parent_id: str, mates: Sequence[str], generation: int, *, crossover: bool | None = None
    ) -> Candidate | None:
        """One new persona from a parent, and for crossover one of `mates`; None where no child could be made.

        `crossover` decides whether it is one; where it is None, chance does, by the recipe's share.
        """
        parent = self._lineage.persona(parent_id)
        operation = self.operation_for(parent, len(mates) > 1 or (bool(mates) and mates[0] != parent_id), crossover)
        parents = [parent]
        if operation is Operation.CROSSOVER:
            mate = parent_id
            while mate == parent_id:
                mate = self._rng.choice(mates)
            parents.append(self._lineage.persona(mate))

        def absorb(child: Child) -> bool:
            candidate = _candidate(child, generation)
            if candidate.persona.id not in self._lineage:
                return False
            self._lineage.add(candidate)
            return True

        child = self._variation.child(parents, operation, self._rng, absorb)
        if child is None:
            return None
        candidate = _candidate(child, generation)
        self._lineage.add(candidate)
        return candidate


def _candidate(child: Child, generation: int) -> Candidate:
    family = join_families(frozenset[str]().union(*(families_of(parent) for parent in child.parents)))
    parents = tuple(parent.id for parent in child.parents)
    return Candidate(Persona(child.text, family=family), parents, child.operation.value, generation)
