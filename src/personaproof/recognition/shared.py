"""Teacher-forced log-probabilities of many endings that share their beginnings, each beginning fed to the model once.

A path is cut into segments by whoever knows the structure: a persona's opening, a question, a response; or an opening,
a question about a text, its last words, an answer. Paths with equal leading segments meet in one row of the key-value
cache, which is copied where they part. Rows are masked and positions count real tokens, so the result is that of
feeding every path whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from personaproof.core import ModelError, Progress
from personaproof.engines import TransformersEngine
from personaproof.engines._cached import CachedBatch
from personaproof.engines._loading import explain_out_of_memory
from personaproof.engines._score import LOGIT_BUDGET, _logprobs, score_batch

Segment = tuple[int, ...]
Path = tuple[Segment, ...]
"""Segments of tokens, none empty; the last one is scored, given those before it."""

BUCKET = 8
"""Paths whose lengths differ by less than this are computed together, whatever their openings: padding against
sharing."""


def score_shared(
    engine: TransformersEngine, paths: Sequence[Path], progress: Progress | None = None
) -> list[list[float]]:
    """Log-probability (nats) of each token of every path's last segment, in order of `paths`.

    All paths have as many segments, at least two. Raises ValueError for others and for an empty segment, ModelError
    where a path does not fit the context or memory runs out.
    """
    _check(engine, paths)
    # A sliding window would count the padding between segments, and a recurrent state cannot be masked at all.
    layers = DynamicCache(config=engine.model.config).layers
    compute = _score_tree if all(type(layer) is DynamicLayer for layer in layers) else _score_whole
    scored: dict[int, list[float]] = {}
    for batch in _batches(paths, engine.batch_size, engine.batch_tokens):
        with engine._evaluating(), explain_out_of_memory(ModelError, "use a smaller batch size"):
            rows = compute(engine.model, [paths[i] for i in batch])
        scored.update(zip(batch, rows, strict=True))
        if progress is not None:
            progress(len(scored), len(paths))
    return [scored[i] for i in range(len(paths))]


def common_opening(sequences: Sequence[tuple[int, ...]]) -> int:
    """Length of the longest beginning that all `sequences` have."""
    # The first and the last in lexicographic order differ earliest.
    first, last = min(sequences), max(sequences)
    shared = 0
    while shared < min(len(first), len(last)) and first[shared] == last[shared]:
        shared += 1
    return shared


def _check(engine: TransformersEngine, paths: Sequence[Path]) -> None:
    if len({len(path) for path in paths}) > 1 or any(len(path) < 2 or not all(path) for path in paths):
        raise ValueError("paths have equally many segments, at least two, and no segment is empty")
    limit = engine.context_length
    longest = max((sum(map(len, path)) for path in paths), default=0)
    if limit is not None and longest > limit:
        raise ModelError(
            f"a text of {longest} tokens, its persona and question included, does not fit the context of "
            f"{engine.name!r} ({limit} tokens), and cutting it would change what is measured; lower "
            "sampling.max_new_tokens or use shorter personas."
        )


def _batches(paths: Sequence[Path], most_rows: int, most_tokens: int) -> Iterator[list[int]]:
    """Indices of paths of like length, those that begin alike next to each other."""
    order = sorted(range(len(paths)), key=lambda i: (sum(map(len, paths[i][1:])) // BUCKET, paths[i]))
    batch: list[int] = []
    widths: tuple[int, ...] = ()
    for index in order:
        own = tuple(map(len, paths[index]))
        grown = tuple(map(max, widths, own)) if batch else own
        if batch and (len(batch) == most_rows or (len(batch) + 1) * sum(grown) > most_tokens):
            yield batch
            batch, grown = [], own
        batch.append(index)
        widths = grown
    if batch:
        yield batch


def _score_whole(model: Any, paths: Sequence[Path]) -> list[list[float]]:
    prompts = [[token for segment in path[:-1] for token in segment] for path in paths]
    return score_batch(model, prompts, [path[-1] for path in paths])


def _score_tree(model: Any, paths: Sequence[Path]) -> list[list[float]]:
    nodes = _distinct([path[:1] for path in paths])
    batch = CachedBatch(model, [node[-1] for node in nodes])
    device, logits = batch.logits.device, batch.logits
    for depth in range(2, len(paths[0])):
        below = _distinct([path[:depth] for path in paths])
        batch.keep(_places(nodes, [node[:-1] for node in below]).to(device))
        logits = batch._feed_left_padded([node[-1] for node in below])
        nodes = below
    owners = _places(nodes, [path[:-1] for path in paths]).to(device)
    return _score_endings(batch, logits, owners, [path[-1] for path in paths])


def _score_endings(batch: CachedBatch, logits: Tensor, owners: Tensor, endings: Sequence[Segment]) -> list[list[float]]:
    """`logits` (nodes, vocabulary) predict the first token after each node; ending i goes on from node `owners[i]`."""
    longest = max(map(len, endings))
    tokens = torch.zeros(len(endings), longest, dtype=torch.long)
    valid = torch.zeros(len(endings), longest, dtype=torch.bool)
    for row, ending in enumerate(endings):
        tokens[row, : len(ending)] = torch.tensor(ending)
        valid[row, : len(ending)] = True
    tokens, valid = tokens.to(logits.device), valid.to(logits.device)
    logits = logits.float()
    first = logits[owners, tokens[:, 0]] - logits.logsumexp(-1)[owners]
    columns = [first[:, None]]
    if longest > 1:
        batch.keep(owners)
        width = max(1, LOGIT_BUDGET // (len(endings) * logits.shape[-1]))
        # The last token is only predicted, never fed.
        for start in range(0, longest - 1, width):
            end = min(start + width, longest - 1)
            following = batch.extend(tokens[:, start:end], valid[:, start:end])
            columns.append(_logprobs(following, tokens[:, start + 1 : end + 1]))
    table = torch.cat(columns, dim=1).tolist()
    return [row[: len(ending)] for row, ending in zip(table, endings, strict=True)]


def _distinct(nodes: Sequence[Path]) -> list[Path]:
    return list(dict.fromkeys(nodes))


def _places(nodes: Sequence[Path], wanted: Sequence[Path]) -> Tensor:
    place = {node: at for at, node in enumerate(nodes)}
    return torch.tensor([place[each] for each in wanted])
