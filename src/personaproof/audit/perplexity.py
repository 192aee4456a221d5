"""How surprised a model is by text that it should still be able to write."""

from __future__ import annotations

import math
from collections.abc import Sequence

from personaproof.core import Engine, Outcome
from personaproof.stats import Estimate, clustered_mean


def perplexity(engine: Engine, outcomes: Sequence[Outcome]) -> Estimate:
    """exp of the mean negative log-likelihood a token that `engine` gives the answers of `outcomes`, each in its own
    conversation; `n` counts tokens. The interval is that of the mean, clustered by persona and request, exponentiated.

    With the answers of the model before training, it tells what hardening cost the model's own voice. Answers without
    a token say nothing. Raises ModelError where an answer does not fit the context.
    """
    scored = engine.score([(outcome.trial.conversation, outcome.completion.text) for outcome in outcomes])
    surprise: list[float] = []
    personas: list[str | None] = []
    requests: list[str] = []
    for outcome, response in zip(outcomes, scored, strict=True):
        surprise += [-logprob for logprob in response.logprobs]
        persona = outcome.trial.persona
        personas += [persona.id if persona else None] * len(response.logprobs)
        requests += [outcome.trial.request.id] * len(response.logprobs)
    mean = clustered_mean(surprise, personas, requests)
    if mean.value is None:
        return mean
    low, high = (None if end is None else math.exp(end) for end in (mean.low, mean.high))
    return Estimate(math.exp(mean.value), low, high, mean.n)
