"""What a search reports: elites with their evidence, the lineage, the curve, and everything that went wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from personaproof.core import Persona, Request
from personaproof.evolve.archive import select_diverse
from personaproof.evolve.descriptors import describe
from personaproof.evolve.evidence import Evidence
from personaproof.evolve.lineage import Lineage
from personaproof.evolve.recipe import EvolveRecipe
from personaproof.evolve.selection import top_k
from personaproof.evolve.strategies import Strategy
from personaproof.stats import Estimate, wilson


@dataclass(frozen=True)
class Found:
    """A persona with its search evidence. Its ASR was selected on, so it is optimistic: see `confirm`."""

    persona: Persona
    evidence: Evidence
    estimate: float | None
    """The ASR over the search's requests as the strategy estimates it; None where it has too little to go by."""
    propagated_asr: float | None
    generation: int
    operation: str

    @property
    def asr(self) -> Estimate:
        """Direct ASR with Wilson's interval over the judged requests."""
        return wilson(self.evidence.successes, self.evidence.judged)


@dataclass(frozen=True)
class Generation:
    """One point of the search curve."""

    generation: int
    evaluated: int
    """Personas evaluated in this generation."""
    unscored: int
    """Those among them with too few judged requests."""
    unjudged: int
    """Their outcomes that no judge could decide."""
    best_asr: float | None
    """Best estimated ASR so far; None while nobody could be scored."""
    elite_asr: float | None
    """Mean estimated ASR of as many personas as there are elites, the best so far."""
    calls: int
    """Target calls so far."""


@dataclass(frozen=True)
class SearchResult:
    """The outcome of one search. `requests` are those it put to every persona; confirmation must use others."""

    search_id: str
    recipe: EvolveRecipe
    framing: str
    requests: tuple[Request, ...]
    elites: tuple[Found, ...]
    """The best by direct ASR, best first; personas that could not be scored are not among them."""
    scored: tuple[Found, ...]
    """Every persona with an estimate, in order of discovery."""
    unscored: tuple[Found, ...]
    """Personas with too few judged requests: neither good nor bad, unknown."""
    lineage: Lineage
    history: tuple[Generation, ...]
    mutations: Mapping[str, int]
    """Counts of mutation by flat dotted name, refusals and failures included."""
    calls: int
    stop_reason: str

    @classmethod
    def of(
        cls,
        *,
        search_id: str,
        recipe: EvolveRecipe,
        framing: str,
        requests: tuple[Request, ...],
        strategy: Strategy,
        history: Sequence[Generation],
        calls: int,
        stop_reason: str,
    ) -> SearchResult:
        """The result as the strategy stands, told evidence only."""
        lineage = strategy.lineage
        estimates = strategy.estimates()
        found = tuple(_found(lineage, row, float(value)) for row, value in enumerate(estimates))
        elites = choose_elites(lineage, estimates, recipe.elites, recipe.diversity_slack)
        return cls(
            search_id=search_id,
            recipe=recipe,
            framing=framing,
            requests=requests,
            elites=tuple(found[row] for row in elites),
            scored=tuple(each for each in found if each.estimate is not None),
            unscored=tuple(
                each for each in found if each.estimate is None and each.evidence.judged + each.evidence.unjudged
            ),
            lineage=lineage,
            history=tuple(history),
            mutations=strategy.mutations.as_dict(),
            calls=calls,
            stop_reason=stop_reason,
        )

    @property
    def search_asr(self) -> float | None:
        """Mean estimate of the elites: what the search believes of them, selected on, hence optimistic; None without
        any."""
        believed = [found.estimate for found in self.elites if found.estimate is not None]
        return sum(believed) / len(believed) if believed else None


def choose_elites(lineage: Lineage, estimates: NDArray[np.float64], count: int, slack: float) -> list[int]:
    """Rows of the `count` best by estimate, best first; with `slack`, in more cells of the archive: see
    `archive.select_diverse`. Only personas that near the best are described, as no other can take a place."""
    plain = top_k(estimates, lineage.ids, count)
    if not slack or len(plain) < count:
        return plain
    near = [int(row) for row in np.flatnonzero(estimates >= estimates[plain[-1]] - slack)]
    ids = [lineage.ids[row] for row in near]
    found = describe([lineage.candidates[row].persona.text for row in near])
    cells = {key: each.cell for key, each in zip(ids, found, strict=True)}
    values = {key: float(estimates[row]) for key, row in zip(ids, near, strict=True)}
    return [lineage.row(key) for key in select_diverse(values, cells, count, slack)]


def summarise_generation(strategy: Strategy, told: Sequence[Evidence], calls: int) -> Generation:
    """The search curve's point after `told` was told."""
    estimates, lineage = strategy.estimates(), strategy.lineage
    rates = estimates[top_k(estimates, lineage.ids, strategy.recipe.elites)]
    rows = [lineage.row(each.persona_id) for each in told]
    return Generation(
        generation=strategy.generation,
        evaluated=len(told),
        unscored=int(np.isnan(estimates[rows]).sum()),
        unjudged=sum(each.unjudged for each in told),
        best_asr=float(rates.max()) if len(rates) else None,
        elite_asr=float(np.mean(rates)) if len(rates) else None,
        calls=calls,
    )


def _found(lineage: Lineage, row: int, estimate: float) -> Found:
    each = lineage.candidates[row]
    return Found(
        each.persona,
        lineage.evidence(each.persona.id),
        None if math.isnan(estimate) else estimate,
        lineage.propagated_asr(each.persona.id),
        each.generation,
        each.operation,
    )
