"""The teacher: the model as it was before training, with a direction added at one layer at every position."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from personaproof.directions import Direction, steer
from personaproof.harden.forward import adapter_off, base_of, final_hidden, output_head, without_dropout
from personaproof.harden.sequences import Packed


class SteeredTeacher:
    """`model` without its adapter, or a frozen copy in `dtype` where its own weights are trained: then memory holds it
    twice. Make it before the first step. Raises ModelError where the direction does not fit."""

    def __init__(self, model: Any, direction: Direction, alpha: float, dtype: torch.dtype, *, adapter: bool) -> None:
        self.model = model if adapter else copy.deepcopy(model).to(dtype).requires_grad_(False)
        self.direction, self.alpha, self.dtype = direction, alpha, dtype
        self.head = output_head(self.model).detached()
        with self.steered():
            pass

    @contextmanager
    def plain(self) -> Iterator[None]:
        """The teacher's model as it was, unsteered."""
        with adapter_off(self.model):
            yield

    @contextmanager
    def steered(self) -> Iterator[None]:
        """The teacher as it teaches."""
        with self.plain(), steer(self.model, self.direction, self.alpha):
            yield

    def hidden(self, packed: Packed) -> Tensor:
        """Final hidden states (N, width) at the packed positions, without dropout or gradient, of the model as it
        stands: use inside `plain` or `steered`."""
        device = self.head.weight.device
        with without_dropout(self.model, self.dtype):
            return final_hidden(
                self.model,
                base_of(self.model),
                packed.input_ids.to(device),
                packed.attention_mask.to(device),
                packed.positions.to(device),
            )
