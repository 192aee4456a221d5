"""Log-probabilities and activations of many endings that share their beginnings, each fed to the model once.

A path is cut into segments by whoever knows the structure: a persona's opening, a question, a response; or an opening,
a question about a text, its last words, an answer. Paths with equal leading segments meet in one row of the key-value
cache, which is copied where they part. Rows are masked and positions count real tokens, so the result is that of
feeding every path whole. That is done where the model allows no sharing: see `sharing`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from personaproof.core import ModelError, Progress
from personaproof.directions import RESPONSE_MEAN, Passage, anatomy, record
from personaproof.directions.hooks import see_block_inputs
from personaproof.engines import TransformersEngine, widest_float
from personaproof.engines._cached import CachedBatch, shareable_columns
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
    most_columns = _most_columns(engine)
    scored: dict[int, list[float]] = {}
    for batch in _batches(paths, engine.batch_size, engine.batch_tokens, most_columns):
        own = [paths[i] for i in batch]
        compute = _score_tree if sum(_widths(own)) <= most_columns else _score_whole
        with engine._evaluating(), explain_out_of_memory(ModelError, "use a smaller batch size"):
            rows = compute(engine.model, own)
        scored.update(zip(batch, rows, strict=True))
        if progress is not None:
            progress(len(scored), len(paths))
    return [scored[i] for i in range(len(paths))]


def shared_response_means(engine: TransformersEngine, paths: Sequence[Path], layers: Sequence[int]) -> Tensor:
    """Mean input of each of `layers` over the tokens of every path's last segment: (paths, layers, width), float64.

    As `directions.record` reads it at the response mean, without encoding what the paths share again and again;
    otherwise as `score_shared`.
    """
    _check(engine, paths)
    most_columns = _most_columns(engine)
    means = torch.empty(len(paths), len(layers), anatomy(engine).width, dtype=torch.float64)
    whole: list[int] = []
    for batch in _batches(paths, engine.batch_size, engine.batch_tokens, most_columns):
        own = [paths[i] for i in batch]
        if sum(_widths(own)) > most_columns:
            whole += batch
            continue
        with engine._evaluating(), explain_out_of_memory(ModelError, "use a smaller batch size"):
            means[batch] = _means_tree(engine, own, layers)
    if whole:
        passages = [Passage(tuple(chain.from_iterable(paths[i][:-1])), paths[i][-1]) for i in whole]
        means[whole] = record(engine, passages, [RESPONSE_MEAN], layers)[:, 0].double()
    return means


def sharing(engine: TransformersEngine) -> str:
    """How far openings are shared with this model, to end a sentence about work with."""
    most_columns = _most_columns(engine)
    if most_columns == math.inf:
        return "behind shared openings"
    if most_columns:
        return (
            f"behind shared openings where a batch is under {most_columns + 1:,} tokens long, the model's sliding "
            "window, and whole otherwise, which is slower"
        )
    return "each whole, which is slower: this model's layers allow no sharing of openings"


def _most_columns(engine: TransformersEngine) -> float:
    return shareable_columns(DynamicCache(config=engine.model.config))


def _widths(paths: Sequence[Path]) -> list[int]:
    """Columns of each segment when these paths are computed together."""
    return [max(map(len, segments)) for segments in zip(*paths, strict=True)]


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


def _batches(paths: Sequence[Path], most_rows: int, most_tokens: int, most_columns: float) -> Iterator[list[int]]:
    """Indices of paths of like length, those that begin alike next to each other; none that can be shared is put to one
    that makes the batch wider than `most_columns`."""
    order = sorted(range(len(paths)), key=lambda i: (sum(map(len, paths[i][1:])) // BUCKET, paths[i]))
    batch: list[int] = []
    widths: tuple[int, ...] = ()
    for index in order:
        own = tuple(map(len, paths[index]))
        grown = tuple(map(max, widths, own)) if batch else own
        full = len(batch) == most_rows or (len(batch) + 1) * sum(grown) > most_tokens
        if batch and (full or sum(widths) <= most_columns < sum(grown)):
            yield batch
            batch, grown = [], own
        batch.append(index)
        widths = grown
    if batch:
        yield batch


def _score_whole(model: Any, paths: Sequence[Path]) -> list[list[float]]:
    prompts = [list(chain.from_iterable(path[:-1])) for path in paths]
    return score_batch(model, prompts, [path[-1] for path in paths])


def _score_tree(model: Any, paths: Sequence[Path]) -> list[list[float]]:
    """`logits` (nodes, vocabulary) predict the first token after each node; path i goes on from node `owners[i]`."""
    batch, logits, owners = _feed_contexts(model, paths)
    endings = [path[-1] for path in paths]
    tokens, valid = (given.to(logits.device) for given in _right_padded(endings))
    first = logits.log_softmax(-1, dtype=torch.float32)[owners, tokens[:, 0]]
    columns = [first[:, None]]
    longest = tokens.shape[1]
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


def _means_tree(engine: TransformersEngine, paths: Sequence[Path], layers: Sequence[int]) -> Tensor:
    batch, logits, owners = _feed_contexts(engine.model, paths)
    tokens, valid = (given.to(logits.device) for given in _right_padded([path[-1] for path in paths]))
    batch.keep(owners)
    found: dict[int, Tensor] = {}

    def visit(layer: int, hidden: Tensor) -> None:
        counted = valid.to(hidden.device)[..., None]
        # Padding may hold anything, so it is replaced and not multiplied away.
        total = torch.where(counted, hidden, 0).sum(1, dtype=widest_float(hidden.device))
        found[layer] = (total / counted.sum(1)).cpu().double()

    feed = partial(batch._feed, tokens, valid, all_valid=bool(valid.all()), last_only=True)
    see_block_inputs(anatomy(engine), layers, visit, feed)
    return torch.stack([found[layer] for layer in layers], dim=1)


def _feed_contexts(model: Any, paths: Sequence[Path]) -> tuple[CachedBatch, Tensor, Tensor]:
    """All segments but the last, each distinct beginning once: the batch, a row a distinct context; the logits
    (contexts, vocabulary) after each; and for every path the row of its context."""
    nodes = _distinct([path[:1] for path in paths])
    batch = CachedBatch(model, [node[-1] for node in nodes], ahead=sum(_widths(paths)[1:]))
    logits = batch.logits
    for depth in range(2, len(paths[0])):
        below = _distinct([path[:depth] for path in paths])
        batch.keep(_places(nodes, [node[:-1] for node in below]).to(logits.device))
        logits = batch._feed_left_padded([node[-1] for node in below])
        nodes = below
    return batch, logits, _places(nodes, [path[:-1] for path in paths]).to(logits.device)


def _right_padded(endings: Sequence[Segment]) -> tuple[Tensor, Tensor]:
    """(rows, columns) of tokens, and which of them count."""
    longest = max(map(len, endings))
    tokens = torch.zeros(len(endings), longest, dtype=torch.long)
    valid = torch.zeros(len(endings), longest, dtype=torch.bool)
    for row, ending in enumerate(endings):
        tokens[row, : len(ending)] = torch.tensor(ending)
        valid[row, : len(ending)] = True
    return tokens, valid


def _distinct(nodes: Sequence[Path]) -> list[Path]:
    return list(dict.fromkeys(nodes))


def _places(nodes: Sequence[Path], wanted: Sequence[Path]) -> Tensor:
    place = {node: at for at, node in enumerate(nodes)}
    return torch.tensor([place[each] for each in wanted])
