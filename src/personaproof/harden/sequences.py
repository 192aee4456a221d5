"""Prompts and responses as token tensors: every context exactly as generation meets it, every response exactly as it is
produced.

The prompt is the chat template's with its generation prompt; the response is closed by the end-of-turn token unless the
token limit had cut it off.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import ModelError
from personaproof.engines import Prompts

_PROBE = "zebra crossing"


@dataclass(frozen=True)
class TokenSequence:
    """Token ids of a prompt and of the response after it."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


@dataclass(frozen=True)
class Packed:
    """Right-padded sequences and where their response tokens are predicted.

    input_ids, attention_mask: (S, T). positions (N,): index into the flattened S * T of the token *before* each
    response token, whose hidden state predicts it. targets (N,): the response tokens. owner (N,): their sequence.
    """

    input_ids: Tensor
    attention_mask: Tensor
    positions: Tensor
    targets: Tensor
    owner: Tensor

    @property
    def sequences(self) -> int:
        return int(self.input_ids.shape[0])


def pack(sequences: Sequence[TokenSequence], pad_id: int) -> Packed:
    """Pad `sequences` (at least one) on the right into one batch."""
    width = max(len(s) for s in sequences)
    input_ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    positions: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    for i, s in enumerate(sequences):
        input_ids[i, : len(s)] = torch.tensor(s.prompt + s.response)
        attention_mask[i, : len(s)] = 1
        first = i * width + len(s.prompt) - 1
        positions += range(first, first + len(s.response))
        targets += s.response
        owner += [i] * len(s.response)
    return Packed(input_ids, attention_mask, torch.tensor(positions), torch.tensor(targets), torch.tensor(owner))


class Encoder:
    """Texts to tokens, by the very code that renders prompts for generation."""

    def __init__(self, tokenizer: Any, name: str, eos_ids: Collection[int] = ()) -> None:
        """`eos_ids` are the tokens at which the model's generation stops. Raises ModelError where the tokenizer has no
        chat template or no end-of-turn token can be told."""
        self.prompts = Prompts(tokenizer, name)
        self.end_of_turn = _end_of_turn(tokenizer, set(eos_ids))
        self.pad_id = int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else self.end_of_turn

    def closed(self, tokens: Sequence[int], complete: bool) -> tuple[int, ...]:
        """A response's tokens, with the end of the turn where it is complete."""
        return (*tokens, self.end_of_turn) if complete else tuple(tokens)


def _end_of_turn(tokenizer: Any, eos_ids: set[int]) -> int:
    """The token that follows an assistant message in the template, else the tokenizer's end of sequence."""
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": _PROBE}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    tail = text[text.rindex(_PROBE) + len(_PROBE) :] if _PROBE in text else ""
    stops = eos_ids | ({tokenizer.eos_token_id} if tokenizer.eos_token_id is not None else set())
    for token in tokenizer(tail, add_special_tokens=False)["input_ids"] if tail else ():
        if token in stops:
            return int(token)
    if tokenizer.eos_token_id is None:
        raise ModelError("the tokenizer names no end-of-sequence token; set tokenizer.eos_token.")
    return int(tokenizer.eos_token_id)
