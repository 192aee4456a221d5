"""A batch of sequences inside the model: padding, positions and the key-value cache, for decoding and for scoring.

Prompts are padded on the left, so that every row ends in the same column and new tokens follow without gaps. Positions
count real tokens only, and padding is masked everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer, LinearAttentionCacheLayerMixin

from personaproof.core import ModelError
from personaproof.engines._plan import Group, content_order, group_by_opening

GROWTH = 64
"""Columns of room added when a cache layer is full."""

WORTH_SHARING = 0.8
"""Openings are shared where that leaves at most this part of the padded prompt tokens to compute."""


class RoomyLayer(DynamicLayer):  # type: ignore[misc]
    """A full-attention cache layer with spare room, written in place.

    The library's own layer copies the whole cache at every token, which costs small models more than their matrices.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_initialized = False
        self._length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        end = self._length + key_states.shape[2]
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self._rooms = [key_states[:, :, :0], value_states[:, :, :0]]
            self.is_initialized = True
        if end > self._rooms[0].shape[2]:
            self._rooms = [self._grown(room, end + GROWTH) for room in self._rooms]
        for room, new in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, self._length : end] = new
        self._length = end
        self.keys, self.values = (room[:, :, :end] for room in self._rooms)
        return self.keys, self.values

    def select(self, rows: Tensor) -> None:
        """Keep only `rows` (repeats allowed) of the batch."""
        rows = rows.to(self.device)
        self._rooms = [room[:, :, : self._length].index_select(0, rows) for room in self._rooms]
        self.keys, self.values = self._rooms

    def _grown(self, room: Tensor, columns: int) -> Tensor:
        grown = room.new_empty(*room.shape[:2], columns, room.shape[3])
        grown[:, :, : self._length] = room[:, :, : self._length]
        return grown


def shareable_columns(cache: DynamicCache) -> float:
    """How many columns, padding included, a batch may have if openings are shared, which leaves padding in the middle
    of rows. Full attention masks it: any number. A sliding window counts it: fewer than the narrowest window has, where
    nothing leaves it. A recurrent state cannot be masked at all: none."""
    most = math.inf
    for layer in cache.layers:
        if type(layer) is DynamicSlidingWindowLayer:
            most = min(most, layer.sliding_window - 1)
        elif type(layer) not in (DynamicLayer, RoomyLayer):
            return 0
    return most


class CachedBatch:
    """Rows of tokens that have passed through `model`, ready for more."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], ahead: int = 0) -> None:
        """Feeds `prompts`; `logits` (rows, vocabulary) then holds the model's raw prediction after each. `ahead`: the
        most columns that will be fed after them.

        Raises ModelError for prompts of different lengths where the model cannot skip padding.
        """
        self._model = model
        self._device = model.get_input_embeddings().weight.device
        self._cache = DynamicCache(config=model.config)
        layers = self._cache.layers
        self._cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in layers]
        self._mask = torch.zeros(len(prompts), 0, dtype=torch.bool, device=self._device)
        self._padded = False
        self._most_columns = math.inf
        groups = self._worth_sharing(prompts, ahead)
        if groups:
            self._most_columns = shareable_columns(self._cache)
            shared = {row: group.shared for group in groups for row in group.rows}
            openings = [list(prompts[group.rows[0]][: group.shared]) for group in groups]
            self._mask = self._mask[: len(groups)]
            self._feed_left_padded(openings)
            self.keep(torch.tensor(_owners(groups), device=self._device))
            prompts = [prompt[shared[row] :] for row, prompt in enumerate(prompts)]
        self.logits = self._feed_left_padded(prompts)
        if self._padded and not all(map(_holds_state, self._cache.layers)):
            raise ModelError(
                f"{type(model).__name__} keeps the state of its recurrent layers outside the cache and mixes padding "
                "into it, so prompts of different lengths cannot be computed together; use a batch size of 1."
            )

    def extend(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """Feed `tokens` (rows, columns), of which those `valid` (same shape, bool) count; raw logits
        (rows, columns, vocabulary) after each."""
        return self._feed(tokens, valid, all_valid=bool(valid.all()), last_only=False)

    def step(self, tokens: Tensor) -> Tensor:
        """Feed one real token a row, (rows,); raw logits (rows, vocabulary)."""
        column = tokens[:, None]
        return self._feed(column, torch.ones_like(column, dtype=torch.bool), all_valid=True, last_only=True)[:, -1]

    def keep(self, rows: Tensor) -> None:
        """Keep only `rows` of the batch, in that order (repeats allowed)."""
        self._mask = self._mask[rows.to(self._mask.device)]
        for layer in self._cache.layers:
            if isinstance(layer, RoomyLayer):
                layer.select(rows)
            elif layer.is_initialized:
                # A model may lie on several devices, each layer's cache where the layer is.
                layer.batch_select_indices(rows.to(layer.device))

    @property
    def can_keep(self) -> bool:
        """Whether rows can be dropped: recurrent (linear-attention) layers, and those with attention beside, have no
        way to."""
        return all(isinstance(layer, DynamicLayer) and not _is_recurrent(layer) for layer in self._cache.layers)

    def _worth_sharing(self, prompts: Sequence[Sequence[int]], ahead: int) -> list[Group]:
        """Groups of prompts with a common opening, or none where computing it once saves little or the model has no way
        to mask the padding between openings and the rest."""
        most_columns = shareable_columns(self._cache)
        if len(prompts) < 2 or not most_columns:
            return []
        groups = group_by_opening(prompts, content_order(prompts, [""] * len(prompts)))
        shared = [group for group in groups if group.shared]
        if not shared or min(len(prompt) for prompt in prompts) < 2:
            return []
        # A lone prompt is its own opening; its tail is cut to the length of the others' tails.
        tail = max(len(prompts[row]) - group.shared for group in shared for row in group.rows)
        groups = [
            group if group.shared else Group(group.rows, max(1, len(prompts[group.rows[0]]) - tail)) for group in groups
        ]
        tail = max(len(prompts[row]) - group.shared for group in groups for row in group.rows)
        opening = max(group.shared for group in groups)
        if opening + tail + ahead > most_columns:
            return []
        cost = len(groups) * opening + len(prompts) * tail
        whole = len(prompts) * max(len(prompt) for prompt in prompts)
        return groups if cost <= WORTH_SHARING * whole else []

    def _feed_left_padded(self, sequences: Sequence[Sequence[int]]) -> Tensor:
        width = max(len(sequence) for sequence in sequences)
        tokens = torch.zeros(len(sequences), width, dtype=torch.long)
        valid = torch.zeros(len(sequences), width, dtype=torch.bool)
        for row, sequence in enumerate(sequences):
            tokens[row, width - len(sequence) :] = torch.tensor(sequence, dtype=torch.long)
            valid[row, width - len(sequence) :] = True
        all_valid = bool(valid.all())
        logits = self._feed(tokens.to(self._device), valid.to(self._device), all_valid=all_valid, last_only=True)
        return logits[:, -1]

    def _feed(self, tokens: Tensor, valid: Tensor, *, all_valid: bool, last_only: bool) -> Tensor:
        if self._mask.shape[1] + tokens.shape[1] > self._most_columns:
            raise ValueError("more columns are fed than were said to be ahead, and the padding would fill the window")
        seen = self._mask.sum(-1, keepdim=True)
        positions = (seen + valid.cumsum(-1) - 1).clamp(min=0)
        self._mask = torch.cat([self._mask, valid], dim=1)
        self._padded = self._padded or not all_valid
        output = self._model(
            input_ids=tokens,
            # Without padding no mask is needed, which spares building and applying one at every token.
            attention_mask=self._mask if self._padded else None,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1 if last_only else 0,
        )
        return cast(Tensor, output.logits)


def _is_recurrent(layer: Any) -> bool:
    return isinstance(layer, LinearAttentionCacheLayerMixin)


def _holds_state(layer: Any) -> bool:
    """Whether what the layer has to remember is in the cache, once something was fed."""
    if not _is_recurrent(layer):
        return True
    return any((*layer.is_conv_states_initialized.values(), *layer.is_recurrent_states_initialized.values()))


def _owners(groups: Sequence[Group]) -> list[int]:
    """For each row in order, the index of its group."""
    owner = {row: number for number, group in enumerate(groups) for row in group.rows}
    return [owner[row] for row in range(len(owner))]
