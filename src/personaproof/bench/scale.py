"""`bench scale`: what ask and tell cost, in time and memory, as a lineage grows."""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from personaproof.core import DataError, Persona, Request, item_seed
from personaproof.data import persona_grammar
from personaproof.evolve import Evidence, EvolveRecipe, GrammarMutator, Query, strategies

WINDOW = 2_000
"""Personas over which the cost at a size is averaged."""


@dataclass(frozen=True)
class ScalePoint:
    """The cost around a lineage of `personas`, outcomes made up without a model."""

    personas: int
    milliseconds: float
    """Of ask and tell together, mutation included, for each new persona."""
    kilobytes: float
    """Peak memory of the process so far, over what it was at the start, for each persona."""


def measure_scale(
    strategy: str, sizes: Sequence[int], *, seed: int = 0, tell: Callable[[ScalePoint], None] | None = None
) -> list[ScalePoint]:
    """Grow one lineage through `sizes` (ascending) and measure around each. Raises DataError for a search that ends
    before, since the mutator gives nothing new."""
    recipe = EvolveRecipe.model_validate(
        {"strategy": strategy, "seed": seed, "seeds": 35, "requests": 60, "parents": 32, "generations": 10**9}
    )
    rng = random.Random(seed)
    people = [
        Persona(persona_grammar.render(persona_grammar.sample_spec(rng), rng), family=f"f{number}")
        for number in range(recipe.seeds)
    ]
    requests = [Request(f"Explain goal number {number}.", harmful=True) for number in range(recipe.requests)]
    search = strategies.get(strategy)(recipe, people, requests, GrammarMutator(recipe.min_words, recipe.max_words))
    before = _peak_kilobytes()
    points = []
    for size in sizes:
        spent, counted = 0.0, 0
        while (known := len(search.lineage)) < size:
            started = time.perf_counter()
            asked = search.ask(10**9)
            spent_asking = time.perf_counter() - started
            if not asked:
                raise DataError(f"the search ended at {known} personas: {search.stop_reason}.")
            told = [_made_up(query) for query in asked]
            started = time.perf_counter()
            search.tell(told)
            if known >= size - WINDOW:
                spent += spent_asking + time.perf_counter() - started
                counted += len(search.lineage) - known
        if not counted:
            raise DataError(f"nothing was left to measure at {size:,} personas; give sizes that grow.")
        grown = (_peak_kilobytes() - before) / len(search.lineage)
        points.append(ScalePoint(size, 1000 * spent / counted, grown))
        if tell is not None:
            tell(points[-1])
    return points


def _made_up(query: Query) -> Evidence:
    """Outcomes by the persona's own strength, a function of its id."""
    strength = random.Random(item_seed(query.persona.id)).random()
    rng = random.Random(len(query.requests))
    answers = {request.id: rng.random() < strength for request in query.requests}
    won = sum(answers.values())
    return Evidence(query.persona.id, won, len(answers) - won, len(answers), 0, answers)


def _peak_kilobytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024 if sys.platform == "darwin" else peak
