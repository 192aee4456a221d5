"""Perplexity against a loop over the definition, on an engine with known log-probabilities."""

import math

import numpy as np
import pytest

from personaproof.audit import perplexity
from personaproof.core import Answer, Completion, Outcome, Persona, Request, ScoredResponse, Trial, Verdict

LOGPROBS = {"one": (-0.5,), "two": (-1.0, -3.0), "three": (-0.1, -0.2, -0.3), "": ()}


class Scorer:
    def __init__(self) -> None:
        self.asked: list[tuple[object, str]] = []

    def score(self, pairs):
        self.asked += pairs
        return [ScoredResponse(tuple(range(len(LOGPROBS[text]))), LOGPROBS[text]) for _, text in pairs]


def outcome(text: str, persona: str, request: str) -> Outcome:
    trial = Trial(Request(request, False), Persona(persona), "user")
    completion = Completion(text, trial.conversation.id, "s", text, "stop", 1)
    return Outcome(trial, completion, Verdict(Answer.NO, Answer.NO))


def test_it_is_the_exponential_of_the_mean_over_tokens() -> None:
    outcomes = [
        outcome("one", "A.", "q"),
        outcome("two", "A.", "r"),
        outcome("three", "B.", "q"),
        outcome("", "B.", "r"),
    ]
    scorer = Scorer()
    found = perplexity(scorer, outcomes)
    tokens = [value for o in outcomes for value in LOGPROBS[o.completion.text]]
    assert found.value == pytest.approx(math.exp(-np.mean(tokens)), rel=1e-12)
    assert found.n == len(tokens) == 6
    assert found.low < found.value < found.high
    assert scorer.asked == [(o.trial.conversation, o.completion.text) for o in outcomes]


def test_without_tokens_it_is_unknown() -> None:
    assert perplexity(Scorer(), []).as_json() == {"value": None, "ci95": None, "n": 0}
    assert perplexity(Scorer(), [outcome("", "A.", "q")]).value is None
