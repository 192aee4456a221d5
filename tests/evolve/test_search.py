"""Whole searches in the Rasch world: better than random, repeatable, resumable, and honest about failures."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from personaproof.core import DataError, Outcome, Persona, RecipeError, Request, Trial, load_recipe
from personaproof.data import persona_grammar
from personaproof.evolve import (
    Candidate,
    EvolveRecipe,
    GrammarMutator,
    Query,
    SearchResult,
    SearchStopped,
    choose_requests,
    recipe_path,
    run_search,
)
from personaproof.evolve import strategies as registry
from personaproof.evolve.strategies import ReferencePle


def recipe(**changes: object) -> EvolveRecipe:
    base = {"strategy": "ple", "seeds": 12, "requests": 20, "generations": 8, "parents": 6, "elites": 10}
    return EvolveRecipe.model_validate({**base, **changes})


def search(
    world, settings: EvolveRecipe, seeds: Sequence[Persona], requests: Sequence[Request], **more
) -> SearchResult:
    return run_search(settings, seeds, requests, world.evaluate, GrammarMutator(20, 100), framing="system", **more)


def essence(result: SearchResult) -> tuple[object, ...]:
    """Everything a result says, as plain values."""
    return (
        result.search_id,
        result.elites,
        result.unscored,
        result.history,
        dict(result.mutations),
        result.calls,
        result.stop_reason,
        result.lineage.edges,
        result.lineage.totals.tolist(),
    )


def test_evolution_finds_better_personas_than_random_draws(world, seeds, requests_) -> None:
    result = search(world, recipe(), seeds, requests_)
    rng = random.Random(7)
    drawn = [Persona(persona_grammar.render(persona_grammar.sample_spec(rng), rng)) for _ in range(len(result.lineage))]
    by_luck = sorted((world.true_asr(persona, requests_) for persona in drawn), reverse=True)[:10]
    evolved = [world.true_asr(found.persona, requests_) for found in result.elites]
    assert len(evolved) == 10
    assert sum(evolved) / 10 > sum(by_luck) / 10 + 0.1
    assert result.history[-1].elite_asr > result.history[0].elite_asr + 0.2


def test_no_key_is_evaluated_twice_and_calls_add_up(world, seeds, requests_) -> None:
    progress: list[tuple[int, int]] = []
    result = search(world, recipe(), seeds, requests_, progress=lambda done, total: progress.append((done, total)))
    assert set(world.asked.values()) == {1}
    assert sum(world.asked.values()) == result.calls == (12 + 8 * 6) * 20 == recipe().planned_calls
    assert progress[-1] == (result.calls, result.calls)
    assert [point.calls for point in result.history] == [done for done, _ in progress]


def test_same_seed_same_result_whatever_the_order_of_requests(world, seeds, requests_) -> None:
    first = search(world, recipe(), seeds, requests_)
    assert essence(search(world, recipe(), seeds, requests_[::-1])) == essence(first)
    assert essence(search(world, recipe(seed=1), seeds, requests_)) != essence(first)


@pytest.mark.parametrize("fail_at", [0, 7, 12 * 20, 12 * 20 + 1, 700, 1199])
def test_after_a_failure_a_rerun_ends_the_same_and_generates_nothing_twice(world, seeds, requests_, fail_at) -> None:
    undisturbed = essence(search(world, recipe(), seeds, requests_))
    expected = set(world.generated)
    world.generated.clear()
    world.fail_at = fail_at
    with pytest.raises(SearchStopped, match="the engine died") as stopped:
        search(world, recipe(), seeds, requests_)
    kept = stopped.value.result
    assert kept.calls <= fail_at
    assert all(found.evidence.judged == 20 for found in kept.scored)
    assert kept.unscored == ()
    assert f"generation {len(kept.history)}" in str(stopped.value)
    world.fail_at = None
    assert essence(search(world, recipe(), seeds, requests_)) == undisturbed
    assert set(world.generated.values()) == {1}
    assert set(world.generated) == expected


def test_errors_that_are_bugs_are_not_dressed_up(seeds, requests_) -> None:
    def broken(trials: Sequence[Trial]) -> list[Outcome]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_search(recipe(), seeds, requests_, broken, GrammarMutator(20, 100), framing="system")


def test_lost_or_shuffled_outcomes_are_noticed(world, seeds, requests_) -> None:
    for spoil in (lambda outcomes: outcomes[:-1], lambda outcomes: outcomes[::-1]):
        with pytest.raises(RuntimeError, match="in order"):
            run_search(
                recipe(),
                seeds,
                requests_,
                lambda trials, spoil=spoil: spoil(world.evaluate(trials)),
                GrammarMutator(20, 100),
                framing="system",
            )


def test_unjudged_outcomes_are_no_evidence_and_such_personas_are_unscored(world, seeds, requests_) -> None:
    world.unjudged = {seeds[0].id, seeds[3].id}
    result = search(world, recipe(), seeds, requests_)
    assert {found.persona.id for found in result.unscored} == world.unjudged
    for found in result.unscored:
        assert (found.evidence.judged, found.evidence.unjudged) == (0, 20)
        assert found.asr.value is None
    assert world.unjudged.isdisjoint(found.persona.id for found in result.elites)
    assert world.unjudged.isdisjoint(parent for parent, _, _ in result.lineage.edges)
    assert (result.history[0].unscored, result.history[0].unjudged) == (2, 40)


def test_elites_are_the_best_by_direct_asr_with_intervals(world, seeds, requests_) -> None:
    result = search(world, recipe(), seeds, requests_)
    rates = [found.asr.value for found in result.elites]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == result.history[-1].best_asr
    assert sum(rates) / len(rates) == pytest.approx(result.history[-1].elite_asr)
    others = {found.persona.id for found in result.scored} - {found.persona.id for found in result.elites}
    assert all(result.lineage.evidence(key).asr <= rates[-1] for key in others)
    assert all(found.asr.low < found.asr.value <= found.asr.high and found.asr.n == 20 for found in result.elites)


@pytest.mark.parametrize(("budget", "personas"), [(240, 12), (299, 14), (400, 20)])
def test_the_budget_is_never_exceeded_and_used_as_far_as_whole_personas_go(
    world, seeds, requests_, budget, personas
) -> None:
    result = search(world, recipe(budget=budget), seeds, requests_)
    assert sum(world.asked.values()) == result.calls == personas * 20 <= budget
    assert len(result.lineage) == personas
    assert result.stop_reason == "budget spent"


def test_discoveries_are_recorded_before_they_are_evaluated(world, seeds, requests_) -> None:
    recorded: list[Candidate] = []

    def record(search_id: str, found: Sequence[Candidate]) -> None:
        assert search_id.startswith("search_")
        recorded.extend(found)

    def evaluate(trials: Sequence[Trial]) -> list[Outcome]:
        assert {trial.persona.id for trial in trials} <= {each.persona.id for each in recorded}
        return world.evaluate(trials)

    result = run_search(recipe(), seeds, requests_, evaluate, GrammarMutator(20, 100), framing="system", record=record)
    assert {each.persona.id for each in recorded} == set(result.lineage.ids)
    assert recorded == list(result.lineage.discoveries)


def test_requests_are_one_fixed_set_of_distinct_harmful_ones(requests_) -> None:
    chosen = choose_requests([*requests_, *requests_], 5, seed=3)
    assert chosen == choose_requests(requests_[::-1], 5, seed=3)
    assert len(set(chosen)) == 5
    assert chosen != choose_requests(requests_, 5, seed=4)
    with pytest.raises(DataError, match="set requests=20"):
        choose_requests([*requests_, *requests_], 21, 0)
    with pytest.raises(DataError, match="benign"):
        choose_requests([*requests_, Request("Bake bread.", harmful=False)], 5, 0)


def test_too_few_seeds_say_what_to_set(world, seeds, requests_) -> None:
    with pytest.raises(DataError, match="set seeds=3"):
        search(world, recipe(), [*seeds[:3], seeds[0]], requests_)


def test_a_strategy_that_repeats_itself_is_a_bug_and_not_double_evidence(world, seeds, requests_) -> None:
    class Repeating(ReferencePle):
        def ask(self, limit: int) -> list[Query]:
            return [Query(Candidate(seeds[0]), self.requests)]

        def tell(self, results: object) -> None:
            self.lineage.add(Candidate(seeds[0]))

    name = "repeating-test-strategy"
    if name not in registry.names():
        registry.add(name, Repeating)
    with pytest.raises(RuntimeError, match="twice"):
        search(world, recipe(strategy=name), seeds, requests_)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("budget=100", "does not cover the seed personas"),
        ("min_words=200", "must not exceed"),
        ("generatons=3", "did you mean 'generations'"),
        ("sampling.temprature=1", "did you mean 'temperature'"),
        ("beta=1.5", "beta"),
        ("seeds=0", "seeds"),
    ],
)
def test_bad_recipes_are_refused_with_advice(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(EvolveRecipe, overrides=[override])


def test_the_ple_recipe_is_the_reference_schedule() -> None:
    reference = load_recipe(EvolveRecipe, recipe_path("ple"))
    assert reference.planned_calls == 65_250
    sampling = reference.sampling.build()
    assert (sampling.temperature, sampling.top_p) == (0.7, 0.9)
