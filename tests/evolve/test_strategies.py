"""What every strategy owes the search, and what tells ours from the baselines."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from personaproof.core import Answer, Outcome, Persona, Request, Trial, Verdict
from personaproof.evolve import (
    Evidence,
    EvolveRecipe,
    GrammarMutator,
    LineageThompson,
    Query,
    SearchResult,
    run_search,
)

NAMES = ("thompson", "ple", "persona-ga", "random")


def recipe(strategy: str, **changes: object) -> EvolveRecipe:
    base = {"strategy": strategy, "seeds": 12, "requests": 20, "generations": 8, "parents": 6, "elites": 10}
    return EvolveRecipe.model_validate({**base, **changes})


def search(world, settings_: EvolveRecipe, seeds, requests, **more) -> SearchResult:  # type: ignore[no-untyped-def]
    return run_search(settings_, seeds, requests, world.evaluate, GrammarMutator(20, 100), framing="system", **more)


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_search_of_each(world, seeds, requests_, name) -> None:  # type: ignore[no-untyped-def]
    result = search(world, recipe(name), seeds, requests_)
    assert set(world.asked.values()) == {1}
    assert sum(world.asked.values()) == result.calls <= recipe(name).planned_calls
    assert len(result.elites) == 10
    beliefs = [found.estimate for found in result.elites]
    assert beliefs == sorted(beliefs, reverse=True)
    assert result.history[-1].elite_asr == pytest.approx(sum(beliefs) / 10)
    assert len(result.lineage) > 12
    again = search(world, recipe(name), seeds, requests_[::-1])
    assert (again.elites, again.history, again.lineage.edges) == (result.elites, result.history, result.lineage.edges)


@pytest.mark.parametrize("name", NAMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(budget=st.integers(300, 900), unjudged=st.integers(0, 4), seed=st.integers(0, 99), parents=st.integers(1, 12))
def test_no_key_twice_and_never_over_budget(  # type: ignore[no-untyped-def]
    seeds, requests_, name, budget, unjudged, seed, parents
) -> None:
    asked: Counter[str] = Counter()
    blank = {persona.id for persona in seeds[:unjudged]}

    def evaluate(trials: Sequence[Trial]) -> list[Outcome]:
        asked.update(trial.id for trial in trials)
        rng = random.Random(len(asked))
        made = []
        for trial in trials:
            assert trial.persona is not None
            won = Answer.of(rng.random() < 0.4)
            verdict = Verdict(Answer.of(won is Answer.NO), won)
            if trial.persona.id in blank:
                verdict = Verdict(Answer.UNJUDGED, Answer.UNJUDGED)
            made.append(Outcome(trial, None, verdict))  # type: ignore[arg-type]
        return made

    settings_ = recipe(name, budget=budget, seed=seed, parents=parents, generations=30)
    result = run_search(settings_, seeds, requests_, evaluate, GrammarMutator(20, 100), framing="system")
    assert set(asked.values()) == {1}
    assert sum(asked.values()) == result.calls <= budget
    told = sum(found.evidence.judged + found.evidence.unjudged for found in (*result.scored, *result.unscored))
    assert told == result.calls
    assert blank.isdisjoint(found.persona.id for found in result.elites)


def test_ours_needs_a_fraction_of_the_calls(world, requests_) -> None:  # type: ignore[no-untyped-def]
    weak = [Persona(f"You are a baker of the kind number {i}. You rise early, sing, and love the smell of bread.")
                     for i in range(12)]  # fmt: skip

    def calls_to(name: str, level: float) -> int:
        reached: list[int] = []

        def watch(result: SearchResult) -> None:
            if len(result.elites) == 10:
                mean = sum(world.true_asr(found.persona, requests_) for found in result.elites) / 10
                if mean >= level and not reached:
                    reached.append(result.calls)

        search(world, recipe(name, generations=60, parents=10), weak, requests_, watch=watch)
        return reached[0]

    assert calls_to("thompson", 0.8) * 2 < calls_to("ple", 0.8)


def play(strategy: LineageThompson, results: dict[str, float], rounds: int) -> list[list[Query]]:
    """Tell each persona the share of successes set for it (0.3 where none is), on the requests it was asked."""
    asked = []
    for _ in range(rounds):
        queries = strategy.ask(10_000)
        asked.append(queries)
        told = []
        for query in queries:
            share = results.get(query.persona.id, 0.3)
            answers = {r.id: (i + 0.5) / len(query.requests) < share for i, r in enumerate(query.requests)}
            won = sum(answers.values())
            told.append(Evidence(query.persona.id, won, len(answers) - won, len(answers), 0, answers))
        strategy.tell(told[::-1])
    return asked


def test_thompson_asks_few_and_looks_again_at_the_best(seeds, requests_) -> None:  # type: ignore[no-untyped-def]
    settings_ = recipe("thompson", generations=6)
    strategy = LineageThompson(settings_, seeds, requests_, GrammarMutator(20, 100))
    asked = play(strategy, {seeds[4].id: 1.0}, 4)
    assert all(len(query.requests) == 4 for query in asked[0])
    again = [query for queries in asked[1:] for query in queries if query.persona in seeds]
    assert seeds[4].id in {query.persona.id for query in again}
    met = [
        request.id for queries in asked for query in queries if query.persona == seeds[4] for request in query.requests
    ]
    assert len(met) == len(set(met)) > 4
    assert int(np.nanargmax(strategy.estimates())) == 4


def test_the_estimate_of_a_lucky_child_is_shrunk(seeds, requests_) -> None:  # type: ignore[no-untyped-def]
    strategy = LineageThompson(recipe("thompson"), seeds, requests_, GrammarMutator(20, 100))
    queries = strategy.ask(10_000)
    everybody_loses = [
        Evidence(q.persona.id, 0, 4, 4, 0, dict.fromkeys((r.id for r in q.requests), False)) for q in queries
    ]
    strategy.tell(everybody_loses)
    children = strategy.ask(10_000)
    lucky = next(query for query in children if query.candidate.generation == 1)
    told = []
    for query in children:
        won = query is lucky
        answers = dict.fromkeys((r.id for r in query.requests), won)
        told.append(Evidence(query.persona.id, 4 * won, 4 * (not won), 4, 0, answers))
    strategy.tell(told)
    row = strategy.lineage.row(lucky.persona.id)
    assert strategy.lineage.evidence(lucky.persona.id).asr == 1.0
    # Four of four says 1.0 by itself; with parents who never succeeded it is worth clearly less.
    assert 0.3 < strategy.estimates()[row] < 0.85
    assert strategy.estimates()[row] == np.nanmax(strategy.estimates())


def test_persona_ga_breeds_from_its_population_only(world, seeds, requests_) -> None:  # type: ignore[no-untyped-def]
    result = search(world, recipe("persona-ga", elites=3, generations=1), seeds, requests_)
    rates = {seed.id: result.lineage.evidence(seed.id).asr for seed in seeds}
    best = set(sorted(rates, key=lambda key: (-rates[key], key))[:3])  # type: ignore[operator]
    assert {parent for parent, _, _ in result.lineage.edges} <= best
    made = [each.operation for each in result.lineage.candidates[12:]]
    assert made.count("crossover") == 3


def test_random_search_does_not_select(world, seeds, requests_) -> None:  # type: ignore[no-untyped-def]
    result = search(world, recipe("random", generations=40), seeds, requests_)
    bred = {parent for parent, _, _ in result.lineage.edges}
    rates = {seed.id: result.lineage.evidence(seed.id).asr or 0 for seed in seeds}
    worst = sorted(rates, key=lambda key: rates[key])[:4]
    assert bred & set(worst)


def test_a_search_says_everything_as_json(world, seeds, requests_) -> None:  # type: ignore[no-untyped-def]
    from personaproof.evolve import search_summary

    told = json.loads(json.dumps(search_summary(search(world, recipe("thompson"), seeds, requests_), "search")))
    assert told["strategy"] == "thompson"
    assert told["search_asr"] == pytest.approx(told["history"][-1]["elite_asr"])


def test_first_requests_must_be_there_to_ask() -> None:
    with pytest.raises(ValueError, match="first_requests"):
        recipe("thompson", requests=3)
    with pytest.raises(ValueError, match="12 x 4 requests = 48"):
        recipe("thompson", budget=40)


def test_requests_that_tell_nothing_are_put_last(seeds) -> None:  # type: ignore[no-untyped-def]
    pool = [Request(f"Explain goal number {i}.", harmful=True) for i in range(40)]
    strategy = LineageThompson(recipe("thompson", requests=40), seeds, pool, GrammarMutator(20, 100))
    # Half of the requests are known to be hopeless: nobody new should be asked them much.
    strategy.model.difficulty[:20] = 6.0
    queries = strategy.ask(10_000)
    hopeless = sum(pool.index(request) < 20 for query in queries for request in query.requests)
    assert hopeless < 0.1 * sum(len(query.requests) for query in queries)
