"""From rows to token tensors: every context exactly as generation meets it, every response exactly as it is produced.

The prompt is the chat template's with its generation prompt; the response is closed by the end-of-turn token unless the
token limit had cut it off. After the persona-free prompt the chosen response has the tokens it has in persona, so that
teacher and student align position by position.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import Conversation, ModelError, direct, resolve_framing
from personaproof.engines import Prompts
from personaproof.harden.picl.rows import Row

_PROBE = "zebra crossing"


@dataclass(frozen=True)
class TokenSequence:
    """Token ids of a prompt and of the response after it."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)


@dataclass(frozen=True)
class EncodedRow:
    """A row in tokens. `plain` is the chosen response in the persona-free context, of preference rows in persona."""

    row: Row
    chosen: TokenSequence
    rejected: TokenSequence | None = None
    plain: TokenSequence | None = None

    @property
    def longest(self) -> int:
        return max(len(s) for s in (self.chosen, self.rejected, self.plain) if s is not None)


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
    """Rows to tokens, by the very code that renders prompts for generation."""

    def __init__(self, tokenizer: Any, name: str, eos_ids: Collection[int] = ()) -> None:
        """`eos_ids` are the tokens at which the model's generation stops. Raises ModelError where the tokenizer has no
        chat template or no end-of-turn token can be told."""
        self.prompts = Prompts(tokenizer, name)
        self.end_of_turn = _end_of_turn(tokenizer, set(eos_ids))
        self.pad_id = int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else self.end_of_turn

    def encode(self, rows: Sequence[Row]) -> list[EncodedRow]:
        """The rows in order, in tokens. Raises ModelError where a framing does not fit the template."""
        contexts = [self._context(row) for row in rows]
        prompts, chosen = self.prompts.tokenise_responses([(c, r.chosen) for c, r in zip(contexts, rows, strict=True)])
        paired = [i for i, row in enumerate(rows) if row.rejected is not None]
        # An empty text stands where there is no rejected response; its tokens go unused.
        _, rejected = self.prompts.tokenise_responses([(contexts[i], rows[i].rejected or "") for i in paired])
        bad = dict(zip(paired, rejected, strict=True))
        in_persona = [i for i in paired if rows[i].persona is not None]
        plain = dict(zip(in_persona, self.prompts.tokenise([direct(rows[i].request) for i in in_persona]), strict=True))
        encoded = []
        for i, row in enumerate(rows):
            prompt, response = tuple(prompts[i]), self._closed(chosen[i], row.chosen_complete)
            encoded.append(
                EncodedRow(
                    row,
                    TokenSequence(prompt, response),
                    TokenSequence(prompt, self._closed(bad[i], row.rejected_complete)) if i in bad else None,
                    TokenSequence(tuple(plain[i]), response) if i in plain else None,
                )
            )
        return encoded

    def _context(self, row: Row) -> Conversation:
        if row.persona is None:
            return direct(row.request)
        return resolve_framing(row.framing, self.prompts.supports_system).render(row.persona, row.request)

    def _closed(self, tokens: Sequence[int], complete: bool) -> tuple[int, ...]:
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
