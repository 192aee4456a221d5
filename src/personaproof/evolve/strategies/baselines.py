"""What a search has to beat: the paper's genetic algorithm, and no selection at all."""

from __future__ import annotations

from collections.abc import Iterator

from personaproof.evolve.evidence import Candidate, Query
from personaproof.evolve.selection import Scores, ratio_asr, scored_only, top_k
from personaproof.evolve.strategies.strategy import LineageStrategy


class PersonaGa(LineageStrategy):
    """Persona-GA, the baseline of the PLE paper: truncation selection to a population of `elites` (35) by direct ASR,
    and each generation half of the children (5) by crossover, half (5) by mutation, of parents drawn at random."""

    def estimates(self) -> Scores:
        """Direct ASR."""
        return scored_only(ratio_asr(self.lineage.direct), self.lineage, self.recipe.min_judged)

    def breed(self, limit: int) -> list[Query]:
        ids = self.lineage.ids
        population = [ids[row] for row in top_k(self.estimates(), ids, self.recipe.elites)]
        if not population:
            self.stop("no persona had enough judged requests to be a parent")
            return []

        def children() -> Iterator[Candidate | None]:
            for number in range(self.recipe.parents):
                crossed = number % 2 == 0 and len(population) > 1
                parent = self.rng.choice(population)
                yield self.breeder.breed(parent, population, self.generation, crossover=crossed)

        return self.within(limit, children())


class RandomSearch(LineageStrategy):
    """No selection: parents are drawn from all personas alike. Elites are still the best by direct ASR."""

    def estimates(self) -> Scores:
        """Direct ASR."""
        return scored_only(ratio_asr(self.lineage.direct), self.lineage, self.recipe.min_judged)

    def breed(self, limit: int) -> list[Query]:
        before = list(self.lineage.ids)
        parents = (self.rng.choice(before) for _ in range(self.recipe.parents))
        return self.within(limit, (self.breeder.breed(parent, before, self.generation) for parent in parents))
