"""Persona vectors: matched openings, judged rollouts, a planted trait recovered, the organism's compliant persona."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaproof.core import (
    Answer,
    Completion,
    Conversation,
    DataError,
    Exchange,
    Job,
    Message,
    ModelError,
    Persona,
    Request,
    Sampling,
    Verdict,
    resolve_framing,
)
from personaproof.data import load_requests
from personaproof.directions import (
    DECISION,
    PROMPT_LAST,
    RESPONSE_FIRST,
    RESPONSE_MEAN,
    ComplianceTraitJudge,
    Passage,
    RubricTraitJudge,
    TraitPack,
    TraitRating,
    difference_in_means,
    load_trait,
    persona_vectors,
    record,
    rollouts,
    steer,
)
from personaproof.directions.difference import matched_weights
from personaproof.directions.personas import NoContrastError
from personaproof.engines import TransformersEngine
from personaproof.judges import PatternJudge
from personaproof.organism import parse

openings = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


def _passages(openings: Sequence[tuple[int, ...]]) -> list[Passage]:
    return [Passage((1,), (*opening, 9), len(opening)) for opening in openings]


@given(openings, openings)
def test_every_opening_weighs_the_same_on_both_sides(left: list[tuple[int, ...]], right: list[tuple[int, ...]]) -> None:
    if not set(left) & set(right):
        with pytest.raises(DataError, match="openings"):
            matched_weights(_passages(left), _passages(right))
        return
    sums = []
    for side, weights in zip((left, right), matched_weights(_passages(left), _passages(right)), strict=True):
        total: Counter[tuple[int, ...]] = Counter()
        for opening, weight in zip(side, weights, strict=True):
            assert (weight > 0) == (opening in set(left) & set(right))
            total[opening] += weight  # type: ignore[assignment]
        sums.append({opening: pytest.approx(weight) for opening, weight in total.items() if weight})
    assert sums[0] == {k: v.expected for k, v in sums[1].items()}
    for opening, weight in sums[0].items():
        n, m = left.count(opening), right.count(opening)
        assert weight == pytest.approx(n * m / (n + m))


def test_the_decision_difference_is_a_weighted_mean_over_openings(llama: TransformersEngine) -> None:
    """By hand: per-opening differences of means, weighted by n m / (n + m)."""
    prompts = [(3, 20 + i, 6) for i in range(7)]
    positive = [
        Passage(p, r, d) for p, r, d in zip(prompts, [(30, 31), (30, 32), (40,), (50, 1)], [1, 1, 0, 1], strict=False)
    ]
    negative = [Passage(p, r, d) for p, r, d in zip(prompts[4:], [(30, 33), (41,), (42,)], [1, 0, 0], strict=True)]
    found = difference_in_means(llama, positive, negative, [PROMPT_LAST, DECISION])
    a, b = (record(llama, side, [PROMPT_LAST, DECISION]).double() for side in (positive, negative))
    after_30 = a[[0, 1], 1].mean(0) - b[[0], 1].mean(0)
    at_once = a[[2], 1].mean(0) - b[[1, 2], 1].mean(0)
    torch.testing.assert_close(found.vectors[0], a[:, 0].mean(0) - b[:, 0].mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.vectors[1], (after_30 + at_once) / 2, rtol=1e-4, atol=1e-5)
    assert found.positive.n == 4


class FakeEngine:
    """Says what it was made with."""

    name = "fake"
    fingerprint = "fake"
    supports_system = True

    def __init__(self, replies: Sequence[str]) -> None:
        self.replies = list(replies)
        self.asked: list[str] = []

    def plan(self, jobs: Sequence[Job]) -> list[list[int]]:
        return [list(range(len(jobs)))]

    def generate_batch(self, jobs: Sequence[Job]) -> list[Completion]:
        self.asked += [job.conversation.messages[-1].content for job in jobs]
        return [
            Completion(job.key("fake"), job.conversation.id, job.sampling.id, reply, "stop", 1)
            for job, reply in zip(jobs, self.replies, strict=True)
        ]

    def score(self, pairs: Any) -> Any:
        raise NotImplementedError


TRAIT = TraitPack(name="t", description="shouts", positive=["Be loud."], negative=["Be soft."], questions=["What now?"])


def test_the_rubric_reads_only_what_it_asked_for() -> None:
    replies = {
        '{"trait": 80, "coherence": 95.5}': (80.0, 95.5),
        '```json\n{"trait": 0, "coherence": 100}\n```': (0.0, 100.0),
        '<think>loud</think>{"trait": 51, "coherence": 50}': (51.0, 50.0),
        '{"trait": 101, "coherence": 50}': (None, None),
        '{"trait": "80", "coherence": 50}': (None, None),
        '{"trait": 80}': (None, None),
        "80": (None, None),
    }
    engine = FakeEngine(list(replies))
    exchanges = [
        Exchange(Request("What now?", False), Conversation((Message("user", "What now?"),)), f"answer {i} <|end|>")
        for i in range(len(replies))
    ]
    ratings = RubricTraitJudge(engine).rate(TRAIT, exchanges)
    assert [(r.trait, r.coherence) for r in ratings] == list(replies.values())
    assert all("cannot be parsed" in r.reason for r in ratings if r.trait is None)
    assert "someone who shouts?" in engine.asked[0]
    assert "<|end|>" not in engine.asked[0]


def test_compliance_is_the_trait_of_harmful_packs() -> None:
    class Fixed:
        id = "fixed"

        def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
            return [
                Verdict(Answer.NO, Answer.YES),
                Verdict(Answer.YES, Answer.NO),
                Verdict(Answer.NO, Answer.UNJUDGED),
                Verdict(Answer.NO, Answer.YES),
            ]

    texts = ["Sure, here it is.", "I can't help with that.", "The sea is calm.", "xq zvv kk " * 9]
    ratings = ComplianceTraitJudge(Fixed()).rate(
        TRAIT, [Exchange(Request("x", True), Conversation((Message("user", "x"),)), text) for text in texts]
    )
    assert [(r.trait, r.coherence) for r in ratings] == [(100, 100), (0, 100), (None, 100), (100, 0)]


@dataclass(frozen=True)
class SignTrait:
    """The planted model's two signs; every answer to a question with a "j" is left unjudged."""

    id: str = "sign"

    def rate(self, trait: TraitPack, exchanges: Sequence[Exchange]) -> list[TraitRating]:
        return [
            TraitRating(None if "j" in e.request.text else 100.0 * e.response.startswith("%"), 100.0) for e in exchanges
        ]


def _planted_trait(**changes: Any) -> TraitPack:
    texts = {
        "positive": ["# a", "b # c", "# # d"],
        "negative": ["e a", "b f c", "g h d"],
        "questions": ["a c", "b d", "c e", "d f", "e j"],
    }
    return TraitPack(name="sign", description="refuses", **{**texts, **changes})


def test_a_planted_trait_is_recovered(planted: SimpleNamespace) -> None:
    model = planted.plant()
    found = persona_vectors(model.engine, _planted_trait(), SignTrait(), sampling=Sampling(0, max_new_tokens=4))
    assert found.counts == {
        "positive": 12,
        "negative": 12,
        "unjudged": 6,
        "incoherent": 0,
        "trait_absent": 0,
        "empty": 0,
        "undecided": 0,
    }
    for position in (PROMPT_LAST, DECISION):
        direction = found.direction(position, 1)
        assert torch.nn.functional.cosine_similarity(direction.vector, model.direction, dim=0) >= 0.99
        assert (direction.method, direction.position) == ("trait:sign", position.name)
    with pytest.raises(ModelError, match="nothing differs"):
        found.direction(PROMPT_LAST, 0)
    with pytest.raises(ModelError, match="layers 0 to 2"):
        found.direction(PROMPT_LAST, 3)
    with steer(model.engine, found.direction(RESPONSE_MEAN, 1), 0.0):
        same = persona_vectors(
            model.engine,
            _planted_trait(),
            SignTrait(),
            sampling=Sampling(0, max_new_tokens=4),
            positions=[RESPONSE_FIRST],
        )
    assert same.data == found.data
    with pytest.raises(ModelError, match="was not read at prompt"):
        same.direction(PROMPT_LAST, 1)


def test_instructions_that_do_not_take_are_an_error_with_counts(planted: SimpleNamespace) -> None:
    trait = _planted_trait(positive=["a", "b", "c"])
    with pytest.raises(DataError, match="'trait_absent': 12"):
        persona_vectors(planted.plant().engine, trait, SignTrait(), sampling=Sampling(0, max_new_tokens=4))


def test_instructions_that_change_nothing_are_no_contrast(planted: SimpleNamespace) -> None:
    """Some questions show the trait whoever is asked. Kept by outcome there would be answers enough on either side, and
    their difference would be that of the questions."""
    of_questions = _planted_trait(positive=["a", "b", "c"], questions=["# a", "# b", "# c", "d e", "f e", "g h"])
    engine, sampling = planted.plant().engine, Sampling(0, max_new_tokens=4)
    with pytest.raises(
        NoContrastError, match=r"do not surely change .*: \+0\.00 \(\+0\.00 to \+0\.00\) over 6"
    ) as caught:
        persona_vectors(engine, of_questions, SignTrait(), sampling=sampling)
    assert caught.value.absent
    assert (caught.value.counts["positive"], caught.value.counts["negative"]) == (9, 9)
    assert persona_vectors(engine, _planted_trait(), SignTrait(), sampling=sampling).effect.low == 1.0


@pytest.mark.long
def test_the_organisms_compliant_persona_is_undone_by_subtraction(organism: TransformersEngine) -> None:
    """Against a random direction of the same length, which must not do it."""
    trait = load_trait("organism-compliant")
    sampling = Sampling(1.0, 1.0, max_new_tokens=48)
    found = persona_vectors(
        organism, trait, ComplianceTraitJudge(PatternJudge()), sampling=sampling, positions=[DECISION]
    )
    direction = found.direction(DECISION, 3)
    framing = resolve_framing("system", True)
    requests = load_requests("pack:organism_harmful", harmful=True).items[:48]
    asked = [framing.render(Persona(trait.positive[i % 8]), request) for i, request in enumerate(requests)]

    def compliance() -> float:
        answers = rollouts(organism, asked, Sampling(0, max_new_tokens=48))
        return sum(parse(answer.text).outcome == "compliance" for answer in answers) / len(answers)

    before = compliance()
    with steer(organism, direction, -1.0):
        after = compliance()
    noise = torch.randn(len(direction.vector), generator=torch.Generator().manual_seed(0))
    with steer(organism, noise * direction.norm / noise.norm(), -1.0, layers=[3]):
        random = compliance()
    assert before >= 0.15
    assert after <= before / 4
    assert random >= before / 2
