"""Reading activations at block inputs, by position rule.

Prompts come from the chat template as it stands (it writes its own BOS) and responses are teacher-forced behind them,
padded on the right. `hidden_states[l]`, the input of block l, is the output of block l - 1. Means are in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from personaproof.core import Conversation, DataError, Message, ModelError
from personaproof.directions.hooks import see_block_inputs
from personaproof.directions.structure import Anatomy, anatomy
from personaproof.engines import Prompts, TransformersEngine, widest_float
from personaproof.engines._loading import explain_out_of_memory


@dataclass(frozen=True)
class Passage:
    """A prompt's tokens and, where there is one, the answer's. `decision` is the index of the answer's token that
    decides between refusing and complying (see `decision_indices`); the answer's length means it has yet to come."""

    prompt: tuple[int, ...]
    response: tuple[int, ...] = ()
    decision: int | None = None


@dataclass(frozen=True)
class Position:
    """Where to read. "prompt": `offset` counts from the prompt's end, -1 its last token. "response": `offset` counts
    from the answer's start, 0 its first token. "response_mean": over all of the answer's tokens. "decision": the last
    token before the one that decides, from which the model predicts it."""

    kind: Literal["prompt", "response", "response_mean", "decision"]
    offset: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind}[{self.offset}]" if self.kind in ("prompt", "response") else self.kind


PROMPT_LAST = Position("prompt", -1)
RESPONSE_FIRST = Position("response", 0)
RESPONSE_MEAN = Position("response_mean")
DECISION = Position("decision")


@dataclass(frozen=True, eq=False)
class Means:
    """`mean` is (positions, layers, width), float64; `norm` is (positions, layers), the mean length of the activations
    (not the length of their mean); over `n` passages."""

    mean: Tensor
    norm: Tensor
    n: int


def passages(engine: TransformersEngine, pairs: Sequence[tuple[Conversation, str | None]]) -> list[Passage]:
    """Tokens of conversations and answers (None: the prompt alone)."""
    prompts, responses = Prompts(engine.tokenizer, engine.name).tokenise_responses([(c, r or "") for c, r in pairs])
    return [Passage(tuple(p), tuple(r)) for p, r in zip(prompts, responses, strict=True)]


def template_positions(engine: TransformersEngine, conversation: Conversation) -> tuple[Position, ...]:
    """The end-of-instruction positions, first to last: the tokens that the chat template writes after the user's words,
    found as what the prompt keeps at its end whatever those words end with."""
    earlier, last = conversation.messages[:-1], conversation.messages[-1].content
    probes = [Conversation((*earlier, Message("user", last + ending))) for ending in (" a", " 7", "?", ".", " Zq")]
    prompts = engine.prompt_tokens(probes)
    shared = 0
    while shared < min(map(len, prompts)) and len({prompt[-1 - shared] for prompt in prompts}) == 1:
        shared += 1
    return tuple(Position("prompt", -k) for k in range(shared, 0, -1))


def record(
    engine: TransformersEngine,
    passages: Sequence[Passage],
    positions: Sequence[Position] = (PROMPT_LAST,),
    layers: Sequence[int] | None = None,
) -> Tensor:
    """Activations of each passage: (passages, positions, layers, width), float32. All layers unless given.

    Interventions that are active act before the reading. Raises DataError where a passage lacks a position (no answer,
    no decision, a prompt too short), ModelError where a passage does not fit the context or memory runs out.
    """
    parts = anatomy(engine)
    chosen = _layers(parts, layers)
    values = torch.empty(len(passages), len(positions), len(chosen), parts.width)

    def keep(rows: list[int], at: int, read: Tensor) -> None:
        values[rows, :, at] = read.to(values)

    _read(engine, parts, passages, positions, chosen, keep)
    return values


def mean_activations(
    engine: TransformersEngine,
    passages: Sequence[Passage],
    positions: Sequence[Position] = (PROMPT_LAST,),
    layers: Sequence[int] | None = None,
    *,
    weights: Sequence[float] | None = None,
) -> Means:
    """Mean activations over passages, without holding them all; otherwise as `record`.

    `weights` (passages,), none below zero, make it a weighted mean. Raises DataError where there is nothing to take a
    mean of.
    """
    share = torch.ones(len(passages), dtype=torch.float64)
    if weights is not None:
        share = torch.tensor(weights, dtype=torch.float64)
    if not passages or not share.sum() > 0:
        raise DataError("there is nothing to take a mean of.")
    share = share / share.sum()
    parts = anatomy(engine)
    chosen = _layers(parts, layers)
    mean = torch.zeros(len(positions), len(chosen), parts.width, dtype=torch.float64)
    length = torch.zeros(len(positions), len(chosen), dtype=torch.float64)

    def keep(rows: list[int], at: int, read: Tensor) -> None:
        read = read.to(mean)
        mean[:, at] += torch.einsum("r,rpw->pw", share[rows], read)
        length[:, at] += torch.einsum("r,rp->p", share[rows], read.norm(dim=-1))

    _read(engine, parts, passages, positions, chosen, keep)
    return Means(mean, length, len(passages))


def _read(
    engine: TransformersEngine,
    parts: Anatomy,
    passages: Sequence[Passage],
    positions: Sequence[Position],
    layers: Sequence[int],
    keep: Callable[[list[int], int, Tensor], None],
) -> None:
    """Hand `keep` (passages' indices, index into `layers`, (rows, positions, width) on the CPU) batch by batch."""
    spans = [[_span(passage, position) for position in positions] for passage in passages]
    # Nothing behind the last token that is read can change it.
    rows = [
        (*passage.prompt, *passage.response)[: max(end for _, end in own)]
        for passage, own in zip(passages, spans, strict=True)
    ]
    _check_lengths(engine, rows)
    places = {layer: at for at, layer in enumerate(layers)}
    device = engine.model.get_input_embeddings().weight.device
    for batch in batches(rows, engine.batch_size, engine.batch_tokens):
        width = max(len(rows[i]) for i in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros(len(batch), width, dtype=torch.long)
        for number, i in enumerate(batch):
            ids[number, : len(rows[i])] = torch.tensor(rows[i])
            mask[number, : len(rows[i])] = 1

        def visit(layer: int, hidden: Tensor, batch: list[int] = batch) -> None:
            read = [[_pool(hidden[number, start:end]) for start, end in spans[i]] for number, i in enumerate(batch)]
            keep(batch, places[layer], torch.stack([torch.stack(row) for row in read]).cpu())

        forward = partial(parts.decoder, input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False)
        with engine._evaluating(), explain_out_of_memory(ModelError, "use a smaller batch size"):
            see_block_inputs(parts, layers, visit, forward)


def _pool(hidden: Tensor) -> Tensor:
    """(tokens, width) to (width,): the mean, in the device's widest type; a single token as it is."""
    return hidden[0] if len(hidden) == 1 else hidden.mean(0, dtype=widest_float(hidden.device))


def _span(passage: Passage, position: Position) -> tuple[int, int]:
    """Columns [start, end) of the passage that `position` reads."""
    start, length = len(passage.prompt), len(passage.response)
    if position.kind == "prompt" and -start <= position.offset < 0:
        at = start + position.offset
        return at, at + 1
    if position.kind == "response" and 0 <= position.offset < length:
        at = start + position.offset
        return at, at + 1
    if position.kind == "response_mean" and length:
        return start, start + length
    if position.kind == "decision" and passage.decision is not None and 0 <= passage.decision <= length and start:
        at = start + passage.decision - 1
        return at, at + 1
    decision = "no decision" if passage.decision is None else f"decision {passage.decision}"
    raise DataError(
        f"a passage of {start} prompt and {length} answer tokens with {decision} has no position {position.name}; "
        "leave it out, or read elsewhere."
    )


def _check_lengths(engine: TransformersEngine, rows: Sequence[Sequence[int]]) -> None:
    limit = engine.context_length
    longest = max(map(len, rows), default=0)
    if limit is not None and longest > limit:
        raise ModelError(f"a passage of {longest} tokens does not fit the context of {engine.name!r} ({limit} tokens).")


def batches(rows: Sequence[Sequence[int]], most_rows: int, most_tokens: int) -> Iterator[list[int]]:
    """Indices of rows of like length, shortest first, at most so many rows and padded tokens together."""
    batch: list[int] = []
    for index in sorted(range(len(rows)), key=lambda i: len(rows[i])):
        if batch and (len(batch) == most_rows or (len(batch) + 1) * len(rows[index]) > most_tokens):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _layers(parts: Anatomy, layers: Sequence[int] | None) -> list[int]:
    return list(range(parts.depth)) if layers is None else [parts.check_layer(layer) for layer in layers]
