"""The ask / tell interface of every search strategy, what they share, and the registry of strategies.

A strategy never calls a model: `ask` says which requests to put to which personas, `tell` brings the judged outcomes.
So it can be tested without one, and the same search drives all of them under the same budget of target calls.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from personaproof.core import Persona, Registry, Request
from personaproof.evolve.breeding import Breeder
from personaproof.evolve.evidence import Candidate, Evidence, Query
from personaproof.evolve.lineage import Lineage
from personaproof.evolve.mutation import Mutator, Variation
from personaproof.evolve.mutation.variation import MutationCounts
from personaproof.evolve.recipe import EvolveRecipe

BARREN_LIMIT = 3
"""Generations in a row without one new persona after which the search ends: the mutator has nothing more to give."""


class Strategy(Protocol):
    """Deterministic given its recipe, seed personas, requests, mutator and what it is told."""

    @property
    def recipe(self) -> EvolveRecipe: ...

    @property
    def lineage(self) -> Lineage:
        """All personas asked for so far, with what was told of them."""
        ...

    @property
    def mutations(self) -> MutationCounts:
        """What mutation did so far."""
        ...

    @property
    def stop_reason(self) -> str:
        """Why the last `ask` was empty; an empty string before."""
        ...

    @property
    def generation(self) -> int:
        """Of the last `ask`; 0 for the seeds."""
        ...

    def ask(self, limit: int) -> list[Query]:
        """Queries of at most `limit` requests together, no request twice to one persona; empty when the search is
        over, or `limit` too small to go on with."""
        ...

    def tell(self, results: Sequence[Evidence]) -> None:
        """The evidence of all personas of the last `ask`, in any order."""
        ...

    def estimates(self) -> NDArray[np.float64]:
        """What the strategy believes of each persona's ASR over the search's requests, in the lineage's order: shape
        (n,), NaN where it has too little to go by. Elites are the best by it."""
        ...


StrategyFactory = Callable[[EvolveRecipe, Sequence[Persona], Sequence[Request], Mutator], Strategy]

strategies: Registry[StrategyFactory] = Registry("search strategy", "personaproof.strategies")


class LineageStrategy(ABC):
    """What our strategies share: seeds first, then generations; children enter the lineage; ask and tell alternate.

    Seed personas that say the same merge into one. A subclass says what is asked of a generation, and may learn more
    from what is told than the lineage's counts.
    """

    def __init__(
        self, recipe: EvolveRecipe, seeds: Sequence[Persona], requests: Sequence[Request], mutator: Mutator
    ) -> None:
        self._recipe = recipe
        self.requests = tuple(requests)
        self.rng = random.Random(recipe.seed)
        self._seeds = list({seed.id: seed for seed in reversed(seeds)}.values())[::-1]
        self._lineage = Lineage(recipe.beta)
        self._variation = Variation(mutator, recipe.min_words, recipe.max_words, recipe.mutation_attempts)
        self.breeder = Breeder(recipe, self._lineage, self._variation, self.rng)
        self._generation = -1
        self._waiting: set[str] = set()
        self._stop_reason = ""

    @property
    def recipe(self) -> EvolveRecipe:
        return self._recipe

    @property
    def lineage(self) -> Lineage:
        return self._lineage

    @property
    def mutations(self) -> MutationCounts:
        return self._variation.counts

    @property
    def stop_reason(self) -> str:
        return self._stop_reason

    @property
    def generation(self) -> int:
        return self._generation

    def ask(self, limit: int) -> list[Query]:
        """Raises RuntimeError before the last ones were told, and ValueError for a limit below 1."""
        if self._waiting:
            raise RuntimeError(f"ask before tell: {len(self._waiting)} personas of the last ask are still open")
        if limit < 1:
            raise ValueError(f"a limit of {limit} calls asks for nothing")
        asked = self._seed_queries(limit) if self._generation < 0 else self._next(limit)
        self._waiting = {query.persona.id for query in asked}
        return asked

    def tell(self, results: Sequence[Evidence]) -> None:
        """Raises ValueError unless it is the evidence of exactly the personas asked for."""
        told = [evidence.persona_id for evidence in results]
        if len(told) != len(set(told)) or set(told) != self._waiting:
            raise ValueError("tell takes one result for each persona of the last ask, and no other")
        for evidence in results:
            self._lineage.record(evidence)
        self._learn(results)
        self._waiting = set()

    @abstractmethod
    def estimates(self) -> NDArray[np.float64]: ...

    @abstractmethod
    def breed(self, limit: int) -> list[Query]:
        """The queries of one generation; empty where nothing came of it, with `stop` called where nothing will."""

    def requests_for(self, candidate: Candidate) -> tuple[Request, ...]:
        """The requests that a new persona meets first."""
        return self.requests

    def stop(self, reason: str) -> None:
        self._stop_reason = reason

    @property
    def cost(self) -> int:
        """Requests that a new persona meets at first."""
        return len(self.requests)

    def within(self, limit: int, candidates: Iterable[Candidate | None]) -> list[Query]:
        """Queries for new personas as far as `limit` calls go; nothing is drawn from `candidates` beyond that."""
        made = (candidate for candidate in candidates if candidate is not None)
        return [Query(each, self.requests_for(each)) for each in itertools.islice(made, limit // self.cost)]

    def _learn(self, results: Sequence[Evidence]) -> None:  # noqa: B027 - optional for subclasses
        """Called with what was told, after the lineage has it."""

    def _seed_queries(self, limit: int) -> list[Query]:
        self._generation = 0
        queries = self.within(limit, (Candidate(seed) for seed in self._seeds))
        for query in queries:
            self._lineage.add(query.candidate)
        return queries

    def _next(self, limit: int) -> list[Query]:
        if limit < self.cost:
            self.stop("budget spent")
            return []
        for _ in range(BARREN_LIMIT):
            if self._generation >= self.recipe.generations:
                self.stop("all generations done")
                return []
            self._generation += 1
            if queries := self.breed(limit):
                return queries
            if self._stop_reason:
                return []
        self.stop(f"mutation gave no new persona in {BARREN_LIMIT} generations")
        return []
