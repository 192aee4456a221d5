"""How much a model is about to refuse, from its next-token logits (Arditi et al. 2024)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from personaproof.core import DataError, ModelError
from personaproof.directions.record import batches
from personaproof.engines import TransformersEngine
from personaproof.engines._cached import CachedBatch
from personaproof.engines._loading import explain_out_of_memory

COMMON = 0.05
"""A token opens refusals where at least this share of them begins with it."""


def refusal_score(logits: Tensor, tokens: Collection[int]) -> Tensor:
    """log P - log(1 - P) with P the probability of `tokens` (distinct ids): (..., vocabulary) to (...), float64.

    Both sums are taken over logits, so that neither P near 0 nor P near 1 is lost to rounding.
    """
    chosen = torch.zeros(logits.shape[-1], dtype=torch.bool, device=logits.device)
    chosen[list(tokens)] = True
    wide = logits.double()
    return wide[..., chosen].logsumexp(-1) - wide[..., ~chosen].logsumexp(-1)


def divergence(logits: Tensor, changed: Tensor) -> Tensor:
    """KL(p || q) in nats of the distributions of `logits` and `changed`: (..., vocabulary) to (...), float64."""
    p, q = logits.double().log_softmax(-1), changed.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)


def next_logits(engine: TransformersEngine, rows: Sequence[Sequence[int]]) -> Tensor:
    """The model's logits after each row of tokens, under whatever interventions are active: (rows, vocabulary),
    float32, on the CPU. Raises ModelError where a row does not fit or memory runs out."""
    limit = engine.context_length
    if limit is not None and max(map(len, rows)) > limit:
        raise ModelError(f"a prompt of {max(map(len, rows))} tokens does not fit the context ({limit}).")
    found: dict[int, Tensor] = {}
    for batch in batches(rows, engine.batch_size, engine.batch_tokens):
        with engine._evaluating(), explain_out_of_memory(ModelError, "use a smaller batch size"):
            logits = CachedBatch(engine.model, [rows[i] for i in batch]).logits.float().cpu()
        found.update(zip(batch, logits, strict=True))
    return torch.stack([found[i] for i in range(len(rows))])


def refusal_tokens(refusals: Sequence[int], others: Sequence[int]) -> frozenset[int]:
    """Tokens that open refusals, from those that decided the model's own answers: the deciding tokens of `refusals`
    that are common among them and commoner than among `others`.

    Raises DataError where these tokens cover less than half of the refusals.
    """
    refusing, other = Counter(refusals), Counter(others)
    chosen = frozenset(
        token
        for token, count in refusing.items()
        if count >= COMMON * len(refusals) and count * max(1, len(others)) > other[token] * len(refusals)
    )
    covered = sum(refusing[token] for token in chosen)
    if not refusals or covered < len(refusals) / 2:
        raise DataError(
            f"the model's {len(refusals)} refusals do not open alike ({covered} begin with one of "
            f"{len(chosen)} common tokens), so the refusal tokens cannot be found; give them as refusal_tokens=[...]."
        )
    return chosen
