"""A moving average of the weights that train, as a teacher that follows the student slowly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from personaproof.core import ModelError
from personaproof.harden.head import OutputHead


class WeightAverage:
    """average <- decay * average + (1 - decay) * weights, over the weights that require a gradient: an adapter's, or
    all of a model under full fine-tuning. It begins as the weights of the moment (Tarvainen and Valpola 2017)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        self.values = {name: weight.detach().clone() for name, weight in self.weights.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after an optimiser step."""
        for name, weight in self.weights.items():
            self.values[name].lerp_(weight, 1 - self.decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with the average for its weights; its own come back afterwards, bit for bit.

        Only the storages change hands, so a graph that was built on the weights before stays valid after.
        """
        own = {name: weight.data for name, weight in self.weights.items()}
        torch.clear_autocast_cache()  # it keeps shortened copies of weights under the identity of the parameter
        try:
            for name, weight in self.weights.items():
                weight.data = self.values[name]
            yield
        finally:
            for name, weight in self.weights.items():
                weight.data = own[name]
            torch.clear_autocast_cache()

    def head(self, head: OutputHead) -> OutputHead:
        """The averaged output head: the same where the head does not train."""
        weight, bias = self._averaged(head.weight), None if head.bias is None else self._averaged(head.bias)
        return OutputHead(weight, bias, head.scale, head.softcap)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Go on from the average of a checkpoint. Raises ModelError where it is of other weights."""
        if values.keys() != self.values.keys():
            raise ModelError(
                "the checkpoint's moving average is of other weights; delete the checkpoints to train anew."
            )
        for name, value in values.items():
            self.values[name].copy_(value)

    def _averaged(self, tensor: Tensor) -> Tensor:
        for name, weight in self.weights.items():
            if weight is tensor:
                return self.values[name]
        return tensor
