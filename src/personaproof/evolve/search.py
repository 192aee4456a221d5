"""Driving a strategy: ask whom to put which requests to, generate, judge, tell."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Callable, Sequence

from personaproof.core import (
    DataError,
    Evaluate,
    Persona,
    PersonaProofError,
    Progress,
    Request,
    Trial,
    content_id,
)
from personaproof.evolve.evidence import Candidate, Evidence, Query, gather_evidence
from personaproof.evolve.mutation import Mutator
from personaproof.evolve.recipe import EvolveRecipe
from personaproof.evolve.result import Generation, SearchResult, summarise_generation
from personaproof.evolve.strategies import Strategy, strategies

RecordLineage = Callable[[str, Sequence[Candidate]], None]
"""Called with the search's id and what it discovered since the last call, before any of it is evaluated."""


Watch = Callable[[SearchResult], None]
Halt = Callable[[], str | None]


class SearchStopped(PersonaProofError):
    """Evaluation failed. `result` holds the search up to the last whole generation; nobody was scored for the failure,
    and a rerun asks for the same personas again."""

    def __init__(self, message: str, result: SearchResult) -> None:
        super().__init__(message)
        self.result = result


def run_search(
    recipe: EvolveRecipe,
    seeds: Sequence[Persona],
    requests: Sequence[Request],
    evaluate: Evaluate,
    mutator: Mutator,
    *,
    framing: str,
    record: RecordLineage | None = None,
    progress: Progress | None = None,
    watch: Watch | None = None,
    halt: Halt | None = None,
) -> SearchResult:
    """Evolve personas that make a model comply with harmful requests, and report the best.

    `seeds` gives at least `recipe.seeds` personas (the first so many are used) and `requests` at least
    `recipe.requests` harmful ones, of which one fixed set is drawn for the whole search. `framing` names how personas
    enter the conversation (resolved: not "auto"). `progress` counts target calls against `recipe.planned_calls`.
    `watch` is shown the result as it stands after every generation. `halt` is asked before every one but
    the first: a reason, such as that the time is spent, ends the search there, with all it found.

    The search is a pure function of its arguments: resuming one is running it again with an `evaluate` and a mutator
    that remember what was generated. Raises DataError for too few or unfit inputs, and SearchStopped, with everything
    found so far, where evaluation or mutation raises a PersonaProofError.
    """
    fixed = choose_requests(requests, recipe.requests, recipe.seed)
    chosen = _first_seeds(seeds, recipe.seeds)
    strategy = strategies.get(recipe.strategy)(recipe, chosen, fixed, mutator)
    search = _Search(recipe, strategy, fixed, framing, _search_id(recipe, framing, chosen, fixed))
    try:
        search.run(evaluate, record, progress, watch, halt)
    except PersonaProofError as error:
        message = (
            f"the search stopped in generation {len(search.history)}, after {search.calls} target calls: {error} "
            "Nothing was scored for the failure; run the same command again to continue."
        )
        raise SearchStopped(message, search.result(f"stopped by an error: {error}")) from error
    return search.result(search.stop_reason)


def choose_requests(requests: Sequence[Request], count: int, seed: int) -> tuple[Request, ...]:
    """`count` distinct harmful requests, drawn by `seed` alone and not by the order of `requests`.

    Raises DataError where a request is not harmful, or where fewer than `count` are distinct.
    """
    if benign := next((request for request in requests if not request.harmful), None):
        raise DataError(f"a search puts harmful requests only, and this one is benign: {benign.text!r}.")
    distinct = {request.id: request for request in requests}
    if len(distinct) < count:
        raise DataError(
            f"the recipe asks for {count} requests a persona and {len(distinct)} distinct ones were given; "
            f"give more, or set requests={len(distinct)}."
        )
    return tuple(distinct[key] for key in random.Random(seed).sample(sorted(distinct), count))


def _first_seeds(seeds: Sequence[Persona], count: int) -> list[Persona]:
    distinct = list({persona.id: persona for persona in reversed(seeds)}.values())[::-1]
    if len(distinct) < count:
        raise DataError(
            f"the recipe asks for {count} seed personas and {len(distinct)} distinct ones were given; "
            f"give more, or set seeds={len(distinct)}."
        )
    return distinct[:count]


def _search_id(recipe: EvolveRecipe, framing: str, seeds: Sequence[Persona], requests: Sequence[Request]) -> str:
    settings = recipe.model_dump(mode="json")
    return content_id("search", [settings, framing, [s.id for s in seeds], [r.id for r in requests]])


class _Search:
    """A search under way."""

    def __init__(
        self,
        recipe: EvolveRecipe,
        strategy: Strategy,
        requests: tuple[Request, ...],
        framing: str,
        search_id: str,
    ) -> None:
        self._recipe = recipe
        self._strategy = strategy
        self._requests = requests
        self._framing = framing
        self._search_id = search_id
        self._evaluated: set[str] = set()
        self._recorded = 0
        self.calls = 0
        self.history: list[Generation] = []
        self.stop_reason = ""

    def run(
        self,
        evaluate: Evaluate,
        record: RecordLineage | None,
        progress: Progress | None,
        watch: Watch | None,
        halt: Halt | None,
    ) -> None:
        while True:
            # Without its seeds evaluated a search has nothing to report.
            if halt is not None and self.history and (reason := halt()):
                self.stop_reason = reason
                break
            if not (asked := self._ask()):
                break
            self._record(record)
            evidence = self._evaluate(asked, evaluate)
            self._strategy.tell(evidence)
            self.calls += sum(len(query.requests) for query in asked)
            self.history.append(summarise_generation(self._strategy, evidence, self.calls))
            if progress is not None:
                progress(self.calls, self._recipe.planned_calls)
            if watch is not None:
                watch(self.result(""))
        # The last ask may have found known personas again, along new paths.
        self._record(record)

    def _record(self, record: RecordLineage | None) -> None:
        found = self._strategy.lineage.discoveries[self._recorded :]
        if record is not None and found:
            record(self._search_id, found)
        self._recorded += len(found)

    def _ask(self) -> list[Query]:
        affordable = sys.maxsize if self._recipe.budget is None else self._recipe.budget - self.calls
        if affordable < 1:
            self.stop_reason = "budget spent"
            return []
        asked = self._strategy.ask(affordable)
        self.stop_reason = self._strategy.stop_reason
        if sum(len(query.requests) for query in asked) > affordable:
            raise RuntimeError(f"strategy {self._recipe.strategy!r} asked for more than the budget has left")
        return asked

    def _evaluate(self, asked: Sequence[Query], evaluate: Evaluate) -> list[Evidence]:
        trials = [Trial(request, query.persona, self._framing) for query in asked for request in query.requests]
        ids = {trial.id for trial in trials}
        if len(ids) < len(trials) or not ids.isdisjoint(self._evaluated):
            raise RuntimeError(f"strategy {self._recipe.strategy!r} put a request to a persona twice")
        outcomes = evaluate(trials)
        if [outcome.trial.id for outcome in outcomes] != [trial.id for trial in trials]:
            raise RuntimeError("evaluate must return one outcome a trial, in order")
        self._evaluated |= ids
        left = iter(outcomes)
        return [gather_evidence(query.persona.id, list(itertools.islice(left, len(query.requests)))) for query in asked]

    def result(self, stop_reason: str) -> SearchResult:
        return SearchResult.of(
            search_id=self._search_id,
            recipe=self._recipe,
            framing=self._framing,
            requests=self._requests,
            strategy=self._strategy,
            history=self.history,
            calls=self.calls,
            stop_reason=stop_reason,
        )
