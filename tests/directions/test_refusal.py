"""The refusal direction: closed forms, a planted direction recovered, and honest failure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaproof.core import Conversation, DataError, Request, direct
from personaproof.data import load_personas, load_requests
from personaproof.directions import (
    Limits,
    NoDirectionError,
    ablate,
    divergence,
    next_logits,
    refusal_direction,
    refusal_score,
    steer,
)
from personaproof.directions.refusal_score import refusal_tokens
from personaproof.engines import TransformersEngine


@given(st.integers(0, 2**31), st.floats(0.1, 60))
def test_score_and_divergence_match_their_definitions(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, 3, 12, generator=generator, dtype=torch.float64) * spread
    p, q = a.softmax(-1), b.softmax(-1)
    mass = p[:, [1, 7]].sum(-1)
    usable = (mass > 1e-6) & (mass < 1 - 1e-6)
    torch.testing.assert_close(refusal_score(a, {1, 7})[usable], torch.logit(mass)[usable])
    assert (divergence(a, b) >= -1e-12).all()
    if float(q.min()) > 1e-12:
        torch.testing.assert_close(divergence(a, b), (p * (p / q).log()).sum(-1))
    torch.testing.assert_close(divergence(a, a + 3.0), torch.zeros(3, dtype=torch.float64))


def test_score_keeps_its_meaning_where_probabilities_round_to_one() -> None:
    logits = torch.tensor([200.0, 0.0, 0.0])
    assert float(refusal_score(logits, {0})) == pytest.approx(200 - math.log(2))
    assert float(refusal_score(logits, {1, 2})) == pytest.approx(math.log(2) - 200)


def test_refusal_tokens_are_common_and_telling() -> None:
    assert refusal_tokens([1] * 60 + [2] * 30 + [3] * 9 + [4], [3] * 50 + [5] * 50) == {1, 2}
    with pytest.raises(DataError, match="do not open alike"):
        refusal_tokens(list(range(40)), [99])
    with pytest.raises(DataError, match="do not open alike"):
        refusal_tokens([1] * 10, [1] * 10)


def test_a_planted_direction_is_recovered_and_does_what_it_says(planted: SimpleNamespace) -> None:
    model = planted.plant()
    engine, r = model.engine, model.direction
    harmful, harmless = planted.requests(True), planted.requests(False)
    found = refusal_direction(engine, harmful, harmless, judge=planted.judge)
    assert found.refusal_tokens == {model.refuse}
    cosine = torch.nn.functional.cosine_similarity(found.direction.vector, r, dim=0)
    assert cosine >= 0.99
    chosen = next(
        c for c in found.candidates if (c.position, c.layer) == (found.direction.position, found.direction.layer)
    )
    assert not chosen.reasons
    assert chosen.bypass == min(c.bypass for c in found.candidates if not c.reasons)
    assert found.harmful_score > 0 > found.harmless_score
    assert {c.layer for c in found.candidates} == {0, 1, 2}
    # Layer 0 has not yet heard of the request at a template token.
    assert all(c.reasons == ("no difference between harmful and harmless",) for c in found.candidates if c.layer == 0)
    assert found.counts["train_harmful"] == found.counts["train_harmless"] == 48
    with ablate(engine, found.direction):
        after = next_logits(engine, engine.prompt_tokens(_asked(harmful)))
    assert (refusal_score(after, found.refusal_tokens) < 0).all()


def test_the_dose_response_is_the_closed_form(planted: SimpleNamespace) -> None:
    """Blocks 1 and 2 do nothing, so the head sees norm(h + alpha r) and the refusing logit follows from it."""
    model = planted.plant()
    engine, r = model.engine, model.direction
    rows = engine.prompt_tokens(_asked(planted.requests(False, 4)))
    states: list[torch.Tensor] = []
    hook = engine.model.model.layers[1].register_forward_pre_hook(lambda m, a: states.append(a[0][0, -1]))
    for row in rows:
        with torch.no_grad():
            engine.model(torch.tensor([row]))
    hook.remove()
    for alpha in (0.5, 2.0, 8.0):
        with steer(engine, r, alpha, layers=[1]):
            logits = next_logits(engine, rows)
        moved = torch.stack(states) + alpha * r
        normed = moved / (moved.pow(2).mean(-1, keepdim=True) + engine.model.config.rms_norm_eps).sqrt()
        torch.testing.assert_close(logits, normed @ engine.model.lm_head.weight.detach().T, rtol=1e-4, atol=1e-4)


def test_a_model_whose_refusal_ignores_the_direction_has_none(planted: SimpleNamespace) -> None:
    model = planted.plant(reads_direction=False)
    with pytest.raises(DataError, match="too one-sided"):
        refusal_direction(model.engine, planted.requests(True), planted.requests(False), judge=planted.judge)


def test_limits_that_nothing_meets_name_the_nearest_misses(planted: SimpleNamespace) -> None:
    engine = planted.plant().engine
    with pytest.raises(NoDirectionError, match="Nearest: prompt") as caught:
        refusal_direction(
            engine,
            planted.requests(True),
            planted.requests(False),
            judge=planted.judge,
            limits=Limits(induce=1e6),
        )
    assert "induced refusal" in str(caught.value)
    assert all(c.reasons for c in caught.value.candidates)


def test_requests_of_the_wrong_kind_or_too_few_are_refused(planted: SimpleNamespace) -> None:
    engine = planted.plant().engine
    harmful, harmless = planted.requests(True), planted.requests(False)
    with pytest.raises(DataError, match="mixed up"):
        refusal_direction(engine, harmless, harmful, judge=planted.judge)
    with pytest.raises(DataError, match="too few"):
        refusal_direction(engine, harmful[:8], harmless, judge=planted.judge)


def test_the_organism_is_measured_and_its_failure_explained(organism: TransformersEngine) -> None:
    """Its refusal is no single direction at the prompt's end by the published limits; wider ones give the best there
    is, deterministically."""
    harmful = load_requests("pack:organism_harmful", harmful=True).items[:50]
    harmless = load_requests("pack:organism_benign", harmful=False).items[:50]
    wide = Limits(induce=-100, kl=1.0, depth=1.0)
    first, second = (refusal_direction(organism, harmful, harmless, limits=wide) for _ in range(2))
    assert torch.equal(first.direction.vector, second.direction.vector)
    assert first.candidates == second.candidates
    assert first.direction.position.startswith("prompt[")
    assert organism.tokenizer.decode(list(first.refusal_tokens)) == "I"
    with pytest.raises(NoDirectionError):
        refusal_direction(organism, harmful, harmless)


@pytest.mark.long
def test_in_character_the_decision_position_is_a_candidate(organism: TransformersEngine) -> None:
    harmful = load_requests("pack:organism_harmful", harmful=True).items[:60]
    harmless = load_requests("pack:organism_benign", harmful=False).items[:60]
    personas = load_personas("pack:organism_personas").items[:4]
    wide = Limits(induce=-100, kl=5.0)
    found = refusal_direction(organism, harmful, harmless, personas=personas, limits=wide)
    tried = [c for c in found.candidates if c.position == "decision" and c.bypass is not None]
    assert {c.layer for c in tried} >= {1, 2, 3}
    assert found.harmful_score > found.harmless_score + 3


def _asked(requests: Sequence[Request]) -> list[Conversation]:
    return [direct(request) for request in requests]
