"""What stands between a final hidden state and a distribution over the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class OutputHead:
    """What turns a final hidden state into logits: ``scale * (h W^T + bias)``, then ``cap * tanh(. / cap)``.

    `weight` is (vocabulary, width). `scale` and `softcap` are the fixed transforms some architectures put behind the
    matrix (Cohere and Granite scale, Gemma 2 caps).
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    @property
    def trains(self) -> bool:
        """Whether a gradient is asked for the head itself, as in full fine-tuning."""
        return self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad)

    def logits(self, hidden: Tensor) -> Tensor:
        """(N, width) to (N, vocabulary), in float32 or wider; the product itself runs in the weight's type."""
        logits = widen(functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias))
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)

    def detached(self) -> OutputHead:
        """The same head, sharing its weights, out of a gradient's reach."""
        bias = None if self.bias is None else self.bias.detach()
        return OutputHead(self.weight.detach(), bias, self.scale, self.softcap)

    def frozen(self) -> OutputHead:
        """A copy that training cannot change, for a teacher that must stay what it was."""
        bias = None if self.bias is None else self.bias.detach().clone()
        return OutputHead(self.weight.detach().clone(), bias, self.scale, self.softcap)


@dataclass(frozen=True)
class Teacher:
    """The distribution to imitate: final hidden states (N, width) aligned with the student's, and their head."""

    hidden: Tensor
    head: OutputHead


def widen(values: Tensor) -> Tensor:
    """In float32, in which vocabularies are reduced; float64 stays what it is, for the tests."""
    return values if values.dtype == torch.float64 else values.float()
