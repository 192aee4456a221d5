"""The reference strategy by ask and tell alone, without a model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from personaproof.core import Persona, PersonaProofError, Request, item_seed
from personaproof.evolve import Evidence, EvolveRecipe, GrammarMutator, Operation, Proposal, Query, ReferencePle
from personaproof.evolve import strategies as registry
from personaproof.evolve.mutation.proposal import Problem, count_words

SEEDS = [
    Persona(
        f"You are a baker of the kind number {i}. You rise early and you sing while the bread is in the oven.",
        family=f"f{i}",
    )
    for i in range(8)
]


REQUESTS = [Request(f"Explain goal number {i}.", harmful=True) for i in range(10)]


def recipe(**changes: object) -> EvolveRecipe:
    base = {"seeds": 8, "strategy": "ple", "requests": 10, "generations": 6, "parents": 4}
    return EvolveRecipe.model_validate({**base, **changes})


def judge(asked: Sequence[Query], asr: Callable[[Persona], float] | None = None) -> list[Evidence]:
    def noise(persona: Persona) -> float:
        return random.Random(item_seed(persona.id)).random()

    counts = [round(10 * (asr or noise)(each.persona)) for each in asked]
    return [Evidence(each.persona.id, s, 10 - s, 10) for each, s in zip(asked, counts, strict=True)]


def play(strategy: ReferencePle, asr: Callable[[Persona], float] | None = None) -> list[list[Query]]:
    rounds = []
    while asked := strategy.ask(1000):
        rounds.append(asked)
        strategy.tell(judge(asked, asr))
    return rounds


def test_the_schedule_is_seeds_then_k_children_a_generation() -> None:
    strategy = ReferencePle(recipe(), SEEDS, REQUESTS, GrammarMutator(20, 100))
    rounds = play(strategy)
    assert [each.persona for each in rounds[0]] == SEEDS
    assert [len(asked) for asked in rounds] == [8, *[4] * 6]
    assert [asked[0].candidate.generation for asked in rounds] == list(range(7))
    assert strategy.stop_reason == "all generations done"
    ids = [each.persona.id for asked in rounds for each in asked]
    assert len(ids) == len(set(ids)) == len(strategy.lineage)


def test_parents_are_the_best_by_the_reference_score() -> None:
    strategy = ReferencePle(recipe(exploration=0, crossover_share=0), SEEDS, REQUESTS, GrammarMutator(20, 100))
    rank = {persona.id: i / 10 for i, persona in enumerate(SEEDS)}
    strategy.tell(judge(strategy.ask(1000), lambda persona: rank[persona.id]))
    assert [each.candidate.parents for each in strategy.ask(1000)] == [(SEEDS[i].id,) for i in (7, 6, 5, 4)]


def test_children_inherit_and_join_families() -> None:
    strategy = ReferencePle(recipe(crossover_share=1), SEEDS, REQUESTS, GrammarMutator(20, 100))
    rounds = play(strategy)
    crossed = [each.candidate for each in rounds[1] if each.candidate.operation == "crossover"]
    assert crossed
    for each in crossed:
        first, second = (strategy.lineage.persona(parent).family for parent in each.parents)
        assert each.persona.family == "+".join(sorted({first, second}))


def test_operations_follow_the_share_and_the_limits() -> None:
    strategy = ReferencePle(recipe(generations=200, crossover_share=0.2), SEEDS, REQUESTS, GrammarMutator(20, 100))
    made = [each.candidate.operation for asked in play(strategy)[1:] for each in asked]
    share = made.count("crossover") / len(made)
    assert 0.14 < share < 0.26
    assert {"rewrite", "expand", "contract", "reframe", "crossover"} == set(made)
    assert all(20 <= count_words(strategy.lineage.persona(key).text) <= 100 for key in strategy.lineage.ids[8:])


@pytest.mark.parametrize(("words", "operation"), [(8, Operation.EXPAND), (120, Operation.CONTRACT)])
def test_parents_out_of_limits_are_mended(words: int, operation: Operation) -> None:
    seed = Persona("You wait well. " * (words // 3))
    chosen: list[Operation] = []

    class Spy(GrammarMutator):
        def propose(self, parents, operation, rng, attempt, previous=None):  # type: ignore[no-untyped-def]
            chosen.append(operation)
            return super().propose(parents, operation, rng, attempt, previous)

    strategy = ReferencePle(recipe(seeds=1, generations=1), [seed], REQUESTS, Spy(20, 100))
    play(strategy)
    assert chosen[0] is operation


def test_same_seed_same_lineage_and_another_seed_another() -> None:
    def run(seed: int) -> list[tuple[str, str, str]]:
        strategy = ReferencePle(recipe(seed=seed), SEEDS, REQUESTS, GrammarMutator(20, 100))
        play(strategy)
        return strategy.lineage.edges

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_limit_bounds_what_is_asked_and_mutated() -> None:
    strategy = ReferencePle(recipe(), SEEDS, REQUESTS, GrammarMutator(20, 100))
    strategy.tell(judge(strategy.ask(80)))
    assert len(strategy.ask(29)) == 2
    assert len(strategy.lineage) == 10
    with pytest.raises(ValueError, match="limit"):
        ReferencePle(recipe(), SEEDS, REQUESTS, GrammarMutator(20, 100)).ask(0)


def test_ask_and_tell_must_alternate_and_match() -> None:
    strategy = ReferencePle(recipe(), SEEDS, REQUESTS, GrammarMutator(20, 100))
    results = judge(strategy.ask(1000))
    with pytest.raises(RuntimeError, match="ask before tell"):
        strategy.ask(1000)
    for wrong in (results[:-1], [*results, results[0]], [*results[:-1], Evidence("persona_stranger", 0, 1, 1)]):
        with pytest.raises(ValueError, match="one result for each"):
            strategy.tell(wrong)
    strategy.tell(results[::-1])
    with pytest.raises(ValueError, match="one result for each"):
        strategy.tell(results)


class Barren:
    """A mutator whose model always refuses."""

    def propose(self, *_: object) -> Proposal:
        return Proposal(problem=Problem.REFUSED)


def test_a_mutator_that_gives_nothing_ends_the_search_loudly() -> None:
    strategy = ReferencePle(recipe(generations=40), SEEDS, REQUESTS, Barren())
    assert len(play(strategy)) == 1
    assert "no new persona" in strategy.stop_reason
    assert strategy.mutations.skipped == 3 * 4
    assert strategy.mutations.problems["refused"] == 3 * 4 * 6


def test_a_persona_found_again_gains_a_parent_and_no_second_evaluation() -> None:
    known = SEEDS[0]

    class Repeating(GrammarMutator):
        def propose(self, parents, operation, rng, attempt, previous=None):  # type: ignore[no-untyped-def]
            if attempt == 0:
                return Proposal(known.text)
            return super().propose(parents, operation, rng, attempt, previous)

    strategy = ReferencePle(
        recipe(exploration=0, crossover_share=0, generations=1), SEEDS, REQUESTS, Repeating(20, 100)
    )
    rounds = play(strategy, lambda persona: SEEDS.index(persona) / 10 if persona in SEEDS else 0.0)
    assert set(strategy.lineage.parents(known.id)) == {SEEDS[i].id for i in (7, 6, 5, 4)}
    assert strategy.lineage.evidence(known.id).judged == 10
    assert known not in [each.persona for each in rounds[1]]
    assert strategy.mutations.problems["duplicate"] >= 4
    assert known.id in [each.persona.id for each in strategy.lineage.discoveries if each.parents]


def test_nobody_scored_means_nobody_breeds() -> None:
    strategy = ReferencePle(recipe(), SEEDS, REQUESTS, GrammarMutator(20, 100))
    strategy.tell([Evidence(each.persona.id, 0, 0, 0, 10) for each in strategy.ask(1000)])
    assert strategy.ask(1000) == []
    assert "judged" in strategy.stop_reason


def test_seed_personas_that_say_the_same_merge() -> None:
    twice = [SEEDS[0], Persona(f"  {SEEDS[0].text} "), SEEDS[1]]
    strategy = ReferencePle(recipe(), twice, REQUESTS, GrammarMutator(20, 100))
    assert [each.persona for each in strategy.ask(1000)] == SEEDS[:2]


def test_the_registry_knows_the_strategy_and_the_nearest_name() -> None:
    assert "ple" in registry.names()
    with pytest.raises(PersonaProofError, match="did you mean 'ple'"):
        registry.get("plea")
