"""Our default: Thompson sampling over a response model along the lineage (docs/search.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from personaproof.core import Persona, Request
from personaproof.evolve.evidence import Candidate, Evidence, Query
from personaproof.evolve.mutation import Mutator
from personaproof.evolve.recipe import EvolveRecipe
from personaproof.evolve.response import ResponseModel
from personaproof.evolve.selection import Scores, scored_only, top_k
from personaproof.evolve.strategies.strategy import LineageStrategy


class LineageThompson(LineageStrategy):
    """Few requests a persona, and what they tell is pooled by a model of who is strong and what is hard.

    A child starts from its parents' posterior, shrunk towards the population's. Parents are the best of one draw from
    every persona's posterior (Thompson 1933): strong ones and uncertain ones, in proportion to the chance that they are
    best. New personas meet the requests that tell most about one of their likely strength. Personas whose draw is among
    the best are looked at again with further requests, so that elites are known and not lucky.
    """

    def __init__(
        self, recipe: EvolveRecipe, seeds: Sequence[Persona], requests: Sequence[Request], mutator: Mutator
    ) -> None:
        super().__init__(recipe, seeds, requests, mutator)
        self.settings = recipe.thompson
        self.model = ResponseModel(
            len(self.requests), heritability=self.settings.heritability, innovation=self.settings.innovation
        )
        self._draws = np.random.default_rng(recipe.seed)
        # Whoever enters the lineage is asked about at once, so rows of the model and of the lineage are the same.
        self._row: dict[str, int] = {}
        self._column = {request.id: column for column, request in enumerate(self.requests)}
        self._met: list[set[int]] = []

    @property
    def cost(self) -> int:
        return self.settings.first_requests

    def estimates(self) -> Scores:
        """Posterior expectation of the ASR over all requests, whichever of them the persona met."""
        return scored_only(self.model.asr(), self.lineage, self.recipe.min_judged)

    def breed(self, limit: int) -> list[Query]:
        recipe, ids = self.recipe, self.lineage.ids
        draws = scored_only(self._sample(), self.lineage, recipe.min_judged)
        parents = [ids[row] for row in top_k(draws, ids, recipe.parents)]
        if not parents:
            self.stop("no persona had enough judged requests to be a parent")
            return []
        made = (self.breeder.breed(parent, parents, self.generation) for parent in parents)
        queries = self.within(limit, made)
        limit -= sum(len(query.requests) for query in queries)
        return queries + self._again(draws, min(limit // self.settings.more_requests, recipe.rechecks))

    def requests_for(self, candidate: Candidate) -> tuple[Request, ...]:
        row = self._enter(candidate)
        return self._choose(row, self.settings.first_requests)

    def _again(self, draws: NDArray[np.float64], count: int) -> list[Query]:
        """Queries for personas whose draw is good and that have requests left, best first."""
        ids = self.lineage.ids
        queries: list[Query] = []
        for place in top_k(draws, ids, 2 * self.recipe.elites):
            if len(queries) == count:
                break
            row = self._row[ids[place]]
            if len(self._met[row]) < len(self.requests):
                candidate = self.lineage.candidates[place]
                queries.append(Query(candidate, self._choose(row, self.settings.more_requests)))
        return queries

    def _enter(self, candidate: Candidate) -> int:
        parents = tuple(self._row[parent] for parent in candidate.parents)
        row = self._row[candidate.persona.id] = self.model.add(parents)
        self._met.append(set())
        return row

    def _choose(self, row: int, count: int) -> tuple[Request, ...]:
        """Requests new to the persona, drawn without replacement by what they tell of a strength drawn for it."""
        met = self._met[row]
        left = np.array([column for column in range(len(self.requests)) if column not in met], dtype=np.int64)
        keys = self._draws.gumbel(size=len(left))
        if self.settings.choose_requests == "informative":
            strength = self._draws.normal(self.model.means[row], np.sqrt(self.model.variances[row]))
            # Adding Gumbel noise to log-weights and taking the largest draws without replacement by weight.
            keys += np.log(self.model.information(float(strength))[left])
        chosen = left[np.argsort(-keys)[:count]]
        met.update(int(column) for column in chosen)
        return tuple(self.requests[column] for column in sorted(chosen))

    def _sample(self) -> NDArray[np.float64]:
        if self.settings.greedy:
            return self.model.means.copy()
        drawn: NDArray[np.float64] = self._draws.normal(self.model.means, np.sqrt(self.model.variances))
        return drawn

    def _learn(self, results: Sequence[Evidence]) -> None:
        # In the order of the lineage, so that what was told in another order teaches the same.
        for evidence in sorted(results, key=lambda each: self._row[each.persona_id]):
            row = self._row[evidence.persona_id]
            before = float(self.model.means[row]), float(self.model.variances[row])
            for request_id in sorted(evidence.answers, key=self._column.__getitem__):
                self.model.learn(row, self._column[request_id], evidence.answers[request_id])
            if self.settings.credit:
                after = float(self.model.means[row]), float(self.model.variances[row])
                parents = tuple(self._row[parent] for parent in self.lineage.parents(evidence.persona_id))
                self.model.credit(parents, before, after)
