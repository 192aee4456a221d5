"""Divergences between a student's and a teacher's next-token distributions, with their gradients in closed form.

Each form takes natural-log probabilities ``log s`` and ``log t``, (N, vocabulary), and gives its value a position with
its gradients with respect to both sides' logits. Only `chunked` calls these, on a few positions at a time, and hands
over buffers that may be overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Divergence:
    """Which divergence, in nats, PIC is made of.

    kl (the default): KL(t || s), exact over the vocabulary, of the student alone: the teacher gets no gradient.
    symmetric: the mean of KL(t || s) and KL(s || t), exact; both sides get their gradient.
    `top_k`: KL(t || s) summed over the teacher's k most likely tokens only, neither renormalised nor with a bucket for
    the rest, as the paper's code has it. A sum of p log(p / q) over part of the vocabulary is no divergence: it is
    negative where the student gives those tokens more mass than the teacher, and its optimum is a student that does,
    not the teacher. In chunks the exact form costs no more, which is why it is the default.
    """

    symmetric: bool = False
    top_k: int | None = None

    def __post_init__(self) -> None:
        if self.symmetric and self.top_k is not None:
            raise ValueError("the symmetric divergence is exact over the vocabulary; it has no top_k")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k is at least 1, not {self.top_k}")

    @property
    def form(self) -> Form:
        """The function of (log s, log t, spare, slopes) that computes it; `slopes` asks for the gradients too."""
        if self.symmetric:
            return _symmetric
        return _exact if self.top_k is None else partial(_truncated, top_k=self.top_k)


@dataclass(frozen=True)
class Evaluated:
    """`value` (N,). With slopes also `student` (N, vocabulary), the softmax s, and the gradients of the value with
    respect to the student's logits and, where it gets one, the teacher's."""

    value: Tensor
    student: Tensor | None = None
    to_student: Tensor | None = None
    to_teacher: Tensor | None = None


Form = Callable[[Tensor, Tensor, Tensor, bool], Evaluated]

KL = Divergence()
SYMMETRIC = Divergence(symmetric=True)


def _exact(log_s: Tensor, log_t: Tensor, spare: Tensor, slopes: bool) -> Evaluated:
    """KL(t || s) = sum t (log t - log s); with respect to the student's logits, s - t."""
    gap = torch.sub(log_t, log_s, out=spare)
    t = log_t.exp_()
    value = gap.mul_(t).sum(-1)
    if not slopes:
        return Evaluated(value)
    s = log_s.exp_()
    return Evaluated(value, s, torch.sub(s, t, out=spare))


def _truncated(log_s: Tensor, log_t: Tensor, spare: Tensor, slopes: bool, top_k: int) -> Evaluated:
    """sum over the top k of t (log t - log s); with respect to the student's logits, s * (their mass) - t on them."""
    top, tokens = log_t.topk(min(top_k, log_t.shape[-1]), dim=-1)
    t = top.exp()
    value = (t * (top - log_s.gather(-1, tokens))).sum(-1)
    if not slopes:
        return Evaluated(value)
    s = log_s.exp_()
    return Evaluated(value, s, torch.mul(s, t.sum(-1, keepdim=True), out=spare).scatter_add_(-1, tokens, -t))


def _symmetric(log_s: Tensor, log_t: Tensor, spare: Tensor, slopes: bool) -> Evaluated:
    """(KL(t || s) + KL(s || t)) / 2. With gap = log t - log s, its gradients are
    (s - t - s (gap + KL(s || t))) / 2 for the student's logits and (t - s + t (gap - KL(t || s))) / 2 for the other's.
    """
    gap = torch.sub(log_t, log_s, out=spare)
    t, s = log_t.exp_(), log_s.exp_()
    forward, backward = _dot(t, gap), -_dot(s, gap)
    value = (forward + backward) / 2
    if not slopes:
        return Evaluated(value)
    difference = s - t
    to_teacher = t.mul_(gap - forward[:, None]).sub_(difference).div_(2)
    to_student = gap.add_(backward[:, None]).mul_(s).neg_().add_(difference).div_(2)
    return Evaluated(value, s, to_student, to_teacher)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Row by row, without a product of their size in between."""
    return torch.bmm(a[:, None], b[:, :, None])[:, 0, 0]
