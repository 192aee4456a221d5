"""Persona Lineage Evolution as published (PIA, "Disentangling Intent from Role", 2026)."""

from __future__ import annotations

from personaproof.evolve.evidence import Query
from personaproof.evolve.selection import Scores, ratio_asr, scored_only, select_parents
from personaproof.evolve.strategies.strategy import LineageStrategy


class ReferencePle(LineageStrategy):
    """Seeds first; then each generation the k best by propagated ASR and exploration bonus have one child each.

    Source: the paper's search, with its reference settings in `EvolveRecipe`; every persona meets all requests, the
    same for all. Personas with too few judged requests are no parents.
    """

    def estimates(self) -> Scores:
        """Direct ASR."""
        return scored_only(ratio_asr(self.lineage.direct), self.lineage, self.recipe.min_judged)

    def breed(self, limit: int) -> list[Query]:
        recipe = self.recipe
        parents = select_parents(self.lineage, recipe.parents, recipe.exploration, recipe.min_judged)
        if not parents:
            self.stop("no persona had enough judged requests to be a parent")
            return []
        # The graph as it was when the parents were chosen: a child of this generation has no evidence yet to breed on.
        return self.within(limit, (self.breeder.breed(parent, parents, self.generation) for parent in parents))
