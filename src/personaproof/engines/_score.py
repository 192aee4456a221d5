"""Teacher-forced log-probabilities of given responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from personaproof.engines._cached import CachedBatch, shareable_columns

LOGIT_BUDGET = 1 << 26
"""Most logits (rows x positions x vocabulary) held in float32 at once: 256 MB."""
NEAR = 1 << 20
"""On a processor, so many are normalised together: 4 MB stay near it, and are not fetched anew from the system."""


def score_batch(model: Any, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]) -> list[list[float]]:
    """Log-probability (nats) of each response token given its prompt and the response so far.

    The prompts are fed first, then the responses a few columns at a time through the cache, so that logits of all
    positions never exist together, however the model computes them. Models with recurrent layers are fed whole texts.
    """
    longest = max(len(response) for response in responses)
    if longest == 0:
        return [[] for _ in responses]
    if not shareable_columns(DynamicCache(config=model.config)):
        return _score_uncached(model, prompts, responses)
    batch = CachedBatch(model, prompts, ahead=longest)
    device = batch.logits.device
    tokens = torch.zeros(len(responses), longest, dtype=torch.long)
    valid = torch.zeros(len(responses), longest, dtype=torch.bool)
    for row, response in enumerate(responses):
        tokens[row, : len(response)] = torch.tensor(response, dtype=torch.long)
        valid[row, : len(response)] = True
    tokens, valid = tokens.to(device), valid.to(device)

    columns = [_logprobs(batch.logits[:, None], tokens[:, :1])]
    width = max(1, LOGIT_BUDGET // (len(responses) * batch.logits.shape[-1]))
    # The last token is only predicted, never fed.
    for start in range(0, longest - 1, width):
        end = min(start + width, longest - 1)
        logits = batch.extend(tokens[:, start:end], valid[:, start:end])
        columns.append(_logprobs(logits, tokens[:, start + 1 : end + 1]))
    table = torch.cat(columns, dim=1).tolist()
    return [row[: len(response)] for row, response in zip(table, responses, strict=True)]


def _score_uncached(
    model: Any, prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]]
) -> list[list[float]]:
    """As `score_batch`, without a cache and with all padding on the right, where no state can meet it.

    Fed several tokens on a filled cache, the recurrent layers of some models (Jamba, RecurrentGemma) start anew.
    """
    embeddings = model.get_input_embeddings().weight
    most = LOGIT_BUDGET // embeddings.shape[0]
    scored: list[list[float]] = [[] for _ in responses]
    for rows in _pieces(prompts, responses, most):
        texts = [[*prompts[i], *responses[i]] for i in rows]
        lengths = torch.tensor([[len(text)] for text in texts], device=embeddings.device)
        last = int(lengths.max()) - 1
        tokens = torch.tensor([text + [0] * (last + 1 - len(text)) for text in texts], device=embeddings.device)
        mask = torch.arange(last + 1, device=embeddings.device) < lengths
        first = len(prompts[rows[0]]) - 1
        width = max(1, most // len(rows))
        columns = []
        # Once, but for a lone text whose response is too long for the budget.
        for start in range(first, last, width):
            end = min(start + width, last)
            logits = model(
                input_ids=tokens[:, :end],
                attention_mask=None if bool(mask[:, :end].all()) else mask[:, :end],
                use_cache=False,
                logits_to_keep=end - start,
            ).logits
            columns.append(_logprobs(logits, tokens[:, start + 1 : end + 1].to(logits.device)))
        table = torch.cat(columns, dim=1).tolist()
        for i, row in zip(rows, table, strict=True):
            start = len(prompts[i]) - 1 - first
            scored[i] = row[start : start + len(responses[i])]
    return scored


def _pieces(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """Rows with a response by the length of their prompts, so many together that at most `most` positions, padding
    included, follow the shortest."""
    piece: list[int] = []
    longest = 0
    for row in sorted((i for i, response in enumerate(responses) if response), key=lambda i: len(prompts[i])):
        length = len(prompts[row]) + len(responses[row])
        if piece and (len(piece) + 1) * (max(longest, length) - len(prompts[piece[0]])) > most:
            yield piece
            piece, longest = [], 0
        piece.append(row)
        longest = max(longest, length)
    if piece:
        yield piece


def _logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """(rows, columns) log-probabilities of `tokens` under `logits` (rows, columns, vocabulary)."""
    vocabulary = logits.shape[-1]
    piece = max(1, (NEAR if logits.device.type == "cpu" else LOGIT_BUDGET) // vocabulary)
    parts = zip(
        torch.split(logits.reshape(-1, vocabulary), piece), torch.split(tokens.reshape(-1, 1), piece), strict=True
    )
    # Fused: a third of the time of logsumexp on a float32 copy, and nothing else of the size of the logits.
    found = [part.log_softmax(-1, dtype=torch.float32).gather(-1, taken) for part, taken in parts]
    return torch.cat(found).view(tokens.shape)
