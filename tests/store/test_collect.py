"""Collecting: what is generated, in which batches, what is kept, and what an interruption changes (nothing)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select

from personaproof.core import (
    Answer,
    GenerationError,
    Job,
    Outcome,
    Persona,
    PersonaProofError,
    Rating,
    Request,
    Sampling,
    StoreError,
    Trial,
)
from personaproof.store import Store, schema


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, as the file holds it."""
    database = create_engine(f"sqlite:///{path}")
    with database.connect() as connection:
        found = {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in schema.metadata.sorted_tables
        }
    database.dispose()
    return found


def test_outcomes_follow_the_trials_and_read_back_exactly(store, scripted):
    trials = scripted.trials()
    outcomes = scripted.collector(store, scripted.Engine()).collect("audit", trials[::-1])
    assert [outcome.trial for outcome in outcomes] == trials[::-1]
    assert store.stage_outcomes("audit") == outcomes
    kept = store.stage_outcomes("audit")[0].trial
    assert (kept.persona.name, kept.persona.family, kept.request.intent) == ("p2", "f0", "b2")
    # Text with NUL and a lone surrogate, tokens over 31 bits and tiny log-probabilities survive to the last bit.
    completion = outcomes[0].completion
    assert "\x00\ud83d" in completion.text
    assert completion.tokens[1] == 2**31 + 5
    assert completion.logprobs[:2] == (-0.1 - 4 * 2.0**-40, -1e-300)
    assert {o.verdict.reason for o in outcomes if o.verdict.refused is Answer.UNJUDGED} == {"ends in 3\ud800"}
    assert {o.verdict.score for o in outcomes} == {None, 1 / 3}


def test_the_whole_list_is_planned_once_and_nothing_is_generated_twice(store, scripted):
    engine, trials = scripted.Engine(), scripted.trials(samples=2)
    collector = scripted.collector(store, engine)
    first = collector.collect("audit", trials)
    assert engine.plans == 1
    assert len(engine.generated) == len(set(engine.generated)) == len(trials)
    assert (collector.generated, collector.reused) == (len(trials), 0)
    again = collector.collect("audit", trials)
    other_stage = collector.collect("other", trials[:5])
    assert again == first
    assert other_stage == first[:5]
    assert engine.plans == 1
    assert len(engine.generated) == len(trials)
    assert (collector.generated, collector.reused) == (len(trials), len(trials) + 5)


def test_only_what_is_missing_is_planned(store, scripted):
    engine, trials = scripted.Engine(), scripted.trials()
    collector = scripted.collector(store, engine)
    collector.collect("search", trials[:10])
    outcomes = collector.collect("search", trials)
    assert len(engine.generated) == len(set(engine.generated)) == len(trials)
    assert store.stage_outcomes("search") == outcomes


def test_equal_conversations_share_a_completion_and_are_judged_for_each_request(store, scripted):
    harmful, benign = Request("Same words", True), Request("Same words", False)
    persona = Persona("You are.")
    # The framing "user" joins persona and request with a blank line, so this request meets the same conversation.
    joined = Request("You are.\n\nSame words", True)
    trials = [Trial(harmful), Trial(benign), Trial(harmful), Trial(harmful, persona, "user"), Trial(joined)]
    engine, judge = scripted.Engine(), scripted.Judge()
    outcomes = scripted.collector(store, engine, judge).collect("audit", trials)
    assert len(engine.generated) == 2
    assert sum(map(len, judge.calls)) == 4
    assert outcomes[0] == outcomes[2]
    assert outcomes[3].completion == outcomes[4].completion
    assert [o.trial.id for o in store.stage_outcomes("audit")] == [trials[i].id for i in (0, 1, 3, 4)]


def test_seed_sampling_and_model_are_part_of_the_name(store, scripted):
    trials = scripted.trials()[:3]
    keys = set()
    for options in ({}, {"seed": 1}, {"sampling": Sampling(temperature=0.5)}):
        outcomes = scripted.collector(store, scripted.Engine(), **options).collect(str(options), trials)
        keys |= {outcome.completion.key for outcome in outcomes}
    other = scripted.collector(store, scripted.Engine(fingerprint="model-b")).collect("b", trials)
    assert len(keys | {outcome.completion.key for outcome in other}) == 12


@pytest.mark.parametrize("failure", [RuntimeError("out of memory"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 1, 4, 6])
def test_an_interrupted_generation_continues_with_the_same_batches(tmp_path, scripted, after, failure):
    trials = scripted.trials()
    undisturbed = scripted.Engine()
    with Store.open(tmp_path / "whole.sqlite") as store:
        expected = scripted.collector(store, undisturbed).collect("audit", trials)

    with Store.open(tmp_path / "cut.sqlite") as store:
        first = scripted.Engine(fail_after=after)
        first.failure = failure
        with pytest.raises(type(failure)):
            scripted.collector(store, first).collect("audit", trials)
        assert store.existing(first.generated) == set(first.generated)
        # A resumed run whose engine would plan otherwise, and whose trials come in another order, keeps to the plan.
        second = scripted.Engine(batch_size=7)
        outcomes = scripted.collector(store, second).collect("audit", trials)
        assert second.plans == 0
    assert outcomes == expected
    assert first.batches + second.batches == undisturbed.batches
    assert contents(tmp_path / "cut.sqlite") == contents(tmp_path / "whole.sqlite")


def test_a_judge_that_fails_loses_no_verdict_and_meets_the_same_batches_again(tmp_path, scripted):
    trials = scripted.trials(personas=12)

    class Failing(scripted.Judge):
        def judge(self, exchanges):
            if len(self.calls) == self.limit:
                raise KeyboardInterrupt
            return super().judge(exchanges)

    def collect(path, limits):
        calls = []
        with Store.open(path) as store:
            # The first stage leaves completions that the second must judge outside any plan of its own.
            scripted.collector(store, scripted.Engine(), scripted.Judge("another/1")).collect("first", trials[:80])
            for limit in limits:
                judge = Failing()
                judge.limit = limit
                collector = scripted.collector(store, scripted.Engine(), judge)
                if limit is None:
                    outcomes = collector.collect("second", trials)
                else:
                    with pytest.raises(KeyboardInterrupt):
                        collector.collect("second", trials)
                calls += judge.calls
        return outcomes, calls

    assert collect(tmp_path / "a", [None]) == collect(tmp_path / "b", [0, 1, 2, 0, 1, None])
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_another_judge_judges_again_and_generates_nothing(store, scripted):
    engine, trials = scripted.Engine(), scripted.trials()
    scripted.collector(store, engine).collect("audit", trials)
    judge = scripted.Judge("another/1")
    scripted.collector(store, engine, judge).collect("rejudged", trials)
    assert len(engine.generated) == len(trials)
    assert sum(map(len, judge.calls)) == len(trials)
    with pytest.raises(StoreError, match=r"already holds trial .* another --out"):
        scripted.collector(store, engine, judge).collect("audit", trials)


def test_a_stage_grows_in_order_and_answers_each_trial_once(store, scripted):
    trials = scripted.trials()
    collector = scripted.collector(store, scripted.Engine())
    evaluate = collector.for_stage("search")
    collected: list[Outcome] = []
    for start in (0, 3, 9, 12):
        collected += evaluate(trials[start : start + 5])
    assert evaluate([]) == []
    order = list(dict.fromkeys(outcome.trial.id for outcome in collected))
    assert [outcome.trial.id for outcome in store.stage_outcomes("search")] == order
    with pytest.raises(StoreError, match=r"stage 'search'.*another"):
        scripted.collector(store, scripted.Engine(), seed=9).collect("search", trials[:1])


def test_a_second_generation_of_a_key_is_refused_loudly(store, scripted):
    engine, trials = scripted.Engine(), scripted.trials()
    outcomes = scripted.collector(store, engine).collect("audit", trials)
    job = Job(trials[0].conversation, Sampling(temperature=0.7, max_new_tokens=16))
    with pytest.raises(StoreError, match="already in the store"):
        store.add_completions(engine.fingerprint, [(job, outcomes[0].completion)])


def test_of_a_refused_batch_nothing_is_kept(store, scripted):
    engine, trials = scripted.Engine(), scripted.trials()
    outcomes = scripted.collector(store, engine).collect("audit", trials[:1])
    jobs = [Job(trial.conversation, Sampling(temperature=0.7, max_new_tokens=16)) for trial in trials[:2]]
    store.record_trials_asked(trials[:2], jobs)
    fresh = engine.generate_batch(jobs[1:])[0]
    with pytest.raises(StoreError, match="already in the store"):
        store.add_completions(engine.fingerprint, [(jobs[1], fresh), (jobs[0], outcomes[0].completion)])
    assert store.existing([fresh.key]) == set()


def test_engines_that_break_their_contract_are_named(store, scripted):
    class Forgetful(scripted.Engine):
        def plan(self, jobs):
            return super().plan(jobs)[1:]

    class Repeating(scripted.Engine):
        def plan(self, jobs):
            return [*super().plan(jobs), [0]]

    class Swapping(scripted.Engine):
        def generate_batch(self, jobs):
            return super().generate_batch(jobs)[::-1]

    class Short(scripted.Engine):
        def generate_batch(self, jobs):
            return super().generate_batch(jobs)[:-1]

    for broken in (Forgetful, Repeating, Swapping, Short):
        with pytest.raises(GenerationError, match="bug of the engine"):
            scripted.collector(store, broken()).collect("audit", scripted.trials())
    assert store.stages() == []


def test_a_judge_that_answers_too_little_is_named(store, scripted):
    class Short(scripted.Judge):
        def judge(self, exchanges):
            return super().judge(exchanges)[1:]

    with pytest.raises(PersonaProofError, match="'scripted-judge/1' gave 3 answers to 4"):
        scripted.collector(store, scripted.Engine(), Short()).collect("audit", scripted.trials())


def test_progress_reaches_the_total_and_starts_from_what_is_there(store, scripted):
    trials, seen, judged = scripted.trials(), [], []
    collector = scripted.collector(
        store,
        scripted.Engine(),
        progress=lambda done, total: seen.append((done, total)),
        judge_progress=lambda done, total: judged.append((done, total)),
    )
    collector.collect("audit", trials[:8])
    assert seen == [(0, 8), (4, 8), (8, 8)] == judged
    seen.clear()
    judged.clear()
    collector.collect("audit", trials[:10])
    assert seen == [(8, 10), (10, 10)] == judged


def test_ratings_are_kept_reused_and_read_back_by_trial(store, scripted):
    collector = scripted.collector(store, scripted.Engine())
    outcomes = collector.collect("audit", scripted.trials(personas=30))
    useful = [outcome for outcome in outcomes if outcome.trial.persona and not outcome.trial.request.harmful]
    rater = scripted.Rater()
    given = collector.rate("audit", useful, rater)
    assert given == [Rating(Answer.of("Sure" in o.completion.text), "read it", Answer.YES) for o in useful]
    assert collector.rate("audit", useful, rater) == given
    assert rater.rated == len(useful) == 90
    assert store.stage_ratings("audit") == {o.trial.id: rating for o, rating in zip(useful, given, strict=True)}
    with pytest.raises(StoreError, match="already rated by scripted-rater/1"):
        collector.rate("audit", useful, scripted.Rater("another/1"))
    with pytest.raises(StoreError, match="not part of stage 'elsewhere'"):
        collector.rate("elsewhere", useful, rater)
    with pytest.raises(ValueError, match="in a persona"):
        collector.rate("audit", outcomes, rater)


def test_the_conversation_sent_is_in_the_store(tmp_path, scripted):
    trials = scripted.trials()
    with Store.open(tmp_path / "run.sqlite") as store:
        scripted.collector(store, scripted.Engine()).collect("audit", trials)
    sent = [
        {"role": "system", "content": trials[-1].persona.text},
        {"role": "user", "content": trials[-1].request.text},
    ]
    conversations = dict(contents(tmp_path / "run.sqlite")["conversations"])
    assert conversations[trials[-1].conversation.id] == sent
