"""Log-probabilities and divergences from hidden states, a few positions at a time, with their gradients.

The vocabulary is large and the width small, so nothing of the vocabulary's size outlives its chunk: the forward pass
already takes each term's gradient through the head, d term / d hidden, (N, width), and keeps that (the idea of Liger
Kernel, Hsu et al. 2024, and Cut Cross-Entropy, Wijmans et al. 2024). Both terms of a position are scalars, so the
backward pass only weighs two kept vectors, and no logit is computed twice. A head that is itself trained would need a
(vocabulary, width) gradient of every position; there the chunks are computed again in the backward pass, when the
weights of the terms are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from personaproof.harden.divergence import KL, Divergence
from personaproof.harden.head import OutputHead, Teacher

CHUNK_ELEMENTS = {"cpu": 1 << 22, "cuda": 1 << 25}
"""Logits held at once, by device: 16 MiB of float32 stay near a processor's caches, a GPU wants larger products."""
FEWEST_POSITIONS = 128
"""A product with fewer rows than this spends its time on reading the head's weight."""


def chunk_positions(head: OutputHead) -> int:
    """Positions a chunk."""
    elements = CHUNK_ELEMENTS.get(head.weight.device.type, CHUNK_ELEMENTS["cuda"])
    return max(FEWEST_POSITIONS, elements // head.weight.shape[0])


def terms_from_hidden(
    hidden: Tensor,
    head: OutputHead,
    targets: Tensor,
    teacher: Teacher | None = None,
    divergence: Divergence = KL,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Natural-log probabilities of `targets` and the divergence from the teacher a position, both (N,), in float32 (or
    float64); the divergence is 0 where there is no teacher. Products run in the weight's type or in autocast's.

    Raises ValueError where student and teacher do not align.
    """
    if teacher is not None and len(teacher.hidden) != len(hidden):
        raise ValueError(f"{len(hidden)} positions cannot be taught by {len(teacher.hidden)}")
    if teacher is not None and not divergence.symmetric:
        teacher = Teacher(teacher.hidden.detach(), teacher.head.detached())
    device = head.weight.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else head.weight.dtype
    sides = [Teacher(hidden, head)] if teacher is None else [Teacher(hidden, head), teacher]
    head_trains = torch.is_grad_enabled() and any(side.head.trains for side in sides)
    slopes = torch.is_grad_enabled() and (head_trains or any(side.hidden.requires_grad for side in sides))
    taught_by = None if teacher is None else teacher.head
    plan = _Plan(head, taught_by, divergence, chunk or chunk_positions(head), dtype, slopes, head_trains)
    tensors = [tensor for side in sides for tensor in (side.hidden, side.head.weight, side.head.bias)]
    terms: tuple[Tensor, Tensor] = _Terms.apply(plan, targets, *tensors)  # type: ignore[no-untyped-call]
    return terms


@dataclass(frozen=True)
class _Plan:
    """What the two passes share. `slopes`: some gradient is wanted. `head_trains`: one of a head's, too."""

    head: OutputHead
    teacher: OutputHead | None
    divergence: Divergence
    positions: int
    dtype: torch.dtype
    slopes: bool
    head_trains: bool


@dataclass(frozen=True)
class _Chunk:
    """Terms (n,) of the positions `part`, and their gradients with respect to the products h W^T, (n, vocabulary): of
    the log-probability and of the divergence for the student, of the divergence for the teacher."""

    part: slice
    logprob: Tensor
    divergence: Tensor | None = None
    logprob_slope: Tensor | None = None
    student_slope: Tensor | None = None
    teacher_slope: Tensor | None = None


class _Side:
    """A head at work: its weight in the type of the products, cast once."""

    def __init__(self, head: OutputHead, dtype: torch.dtype) -> None:
        self.head = head
        self.weight = head.weight.detach().to(dtype)
        self.bias = None if head.bias is None else head.bias.detach().to(dtype)
        self.bend: Tensor | None = None

    def log_softmax(self, hidden: Tensor, product: Tensor, spare: Tensor, out: Tensor) -> Tensor:
        """(n, vocabulary) into `out`, by way of `product` and `spare`."""
        hidden = hidden.to(self.weight.dtype)
        if self.bias is None:
            torch.mm(hidden, self.weight.T, out=product)
        else:
            torch.addmm(self.bias, hidden, self.weight.T, out=product)
        spare.copy_(product)
        if self.head.scale != 1.0:
            spare.mul_(self.head.scale)
        if (cap := self.head.softcap) is not None:
            bounded = spare.div_(cap).tanh_()
            self.bend = 1 - bounded.square()  # d cap tanh(x / cap) / dx
            spare.mul_(cap)
        return torch.log_softmax(spare, dim=-1, out=out)

    def to_product(self, slope: Tensor) -> Tensor:
        """From the gradient with respect to logits to that with respect to h W^T, in place."""
        if self.bend is not None:
            slope.mul_(self.bend)
        return slope if self.head.scale == 1.0 else slope.mul_(self.head.scale)


class _Chunks:
    """All chunks in order. They share their buffers: one must be done with before the next is asked for."""

    def __init__(self, plan: _Plan, targets: Tensor, hidden: Tensor, taught: Tensor | None) -> None:
        self.plan, self.targets, self.hidden, self.taught = plan, targets, hidden, taught
        self.student = _Side(plan.head, plan.dtype)
        self.teacher = None if plan.teacher is None else _Side(plan.teacher, plan.dtype)
        shape = min(plan.positions, len(targets)), len(plan.head.weight)
        wide = torch.float64 if plan.dtype == torch.float64 else torch.float32
        # Allocated once: on a processor the pages of a fresh buffer cost more than the sums made in it.
        self.product = hidden.new_empty(shape, dtype=plan.dtype)
        self.buffers = [hidden.new_empty(shape, dtype=wide) for _ in range(2 if taught is None else 3)]

    def __iter__(self) -> Iterator[_Chunk]:
        for start in range(0, len(self.targets), self.plan.positions):
            yield self._evaluate(slice(start, min(start + self.plan.positions, len(self.targets))))

    def _evaluate(self, part: slice) -> _Chunk:
        n, target, slopes = part.stop - part.start, self.targets[part, None], self.plan.slopes
        product, spare, log_s = self.product[:n], self.buffers[0][:n], self.buffers[1][:n]
        self.student.log_softmax(self.hidden[part], product, spare, log_s)
        logprob = log_s.gather(-1, target)[:, 0]
        if self.teacher is None or self.taught is None:
            return _Chunk(part, logprob, None, self._of_logprob(log_s.exp_(), target) if slopes else None)
        log_t = self.teacher.log_softmax(self.taught[part], product, spare, self.buffers[2][:n])
        found = self.plan.divergence.form(log_s, log_t, spare, slopes)
        return _Chunk(
            part,
            logprob,
            found.value,
            None if found.student is None else self._of_logprob(found.student, target),
            None if found.to_student is None else self.student.to_product(found.to_student),
            None if found.to_teacher is None else self.teacher.to_product(found.to_teacher),
        )

    def _of_logprob(self, s: Tensor, target: Tensor) -> Tensor:
        """d log s_target / d product, in place of s: one at the target, minus s. In float32, for the difference would
        vanish in a shorter type where s is sure of the target."""
        return self.student.to_product(s.neg_().scatter_add_(-1, target, torch.ones_like(target, dtype=s.dtype)))

    def shorten(self, slope: Tensor) -> Tensor:
        """The slope in the type of the products, in the buffer that logits no longer need."""
        return self.product[: len(slope)].copy_(slope)


class _Terms(torch.autograd.Function):
    """(log-probabilities, divergences) of (hidden, weight, bias) and, with a teacher, the same three of it."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, targets: Tensor, *tensors: Tensor | None) -> tuple[Tensor, Tensor]:
        hidden, taught = _hidden(tensors)
        chunks = _Chunks(plan, targets, hidden, taught)
        wide = chunks.buffers[0].dtype
        logprobs = hidden.new_zeros(len(targets), dtype=wide)
        divergences = hidden.new_zeros(len(targets), dtype=wide)
        keep = plan.slopes and not plan.head_trains
        kept = [hidden.new_empty(hidden.shape, dtype=plan.dtype) for _ in range(_slopes(plan))] if keep else []
        for chunk in chunks:
            logprobs[chunk.part] = chunk.logprob
            if chunk.divergence is not None:
                divergences[chunk.part] = chunk.divergence
            slopes = (chunk.logprob_slope, chunk.student_slope, chunk.teacher_slope)
            sides = (chunks.student, chunks.student, chunks.teacher)
            for whole, slope, side in zip(kept, slopes, sides, strict=False):
                if slope is not None and side is not None:
                    torch.mm(chunks.shorten(slope), side.weight, out=whole[chunk.part])
        ctx.plan = plan
        ctx.save_for_backward(targets, *(kept if keep else tensors))
        ctx.types = [None if tensor is None else tensor.dtype for tensor in tensors]
        return logprobs, divergences

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_logprob: Tensor, to_divergence: Tensor) -> tuple[Any, ...]:
        targets, *saved = ctx.saved_tensors
        weights = to_logprob[:, None], to_divergence[:, None]
        if ctx.plan.head_trains:
            found = _recomputed(ctx.plan, targets, saved, weights, ctx.needs_input_grad[2:])
        else:
            found = [None] * len(ctx.types)
            found[0] = weights[0] * saved[0]
            if len(saved) > 1:
                found[0] += weights[1] * saved[1]
            if len(saved) > 2:
                found[3] = weights[1] * saved[2]
        gradients = [g if g is None else g.to(t) for g, t in zip(found, ctx.types, strict=True)]
        return None, None, *gradients


def _recomputed(
    plan: _Plan,
    targets: Tensor,
    tensors: Sequence[Tensor | None],
    weights: tuple[Tensor, Tensor],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Gradients of the tensors that need one, the chunks computed a second time."""
    hidden, taught = _hidden(tensors)
    chunks = _Chunks(plan, targets, hidden, taught)
    found = [
        torch.zeros_like(tensor) if need and tensor is not None else None
        for tensor, need in zip(tensors, needed, strict=True)
    ]
    for chunk in chunks:
        part = chunk.part
        if chunk.logprob_slope is None:
            continue
        slope = chunk.logprob_slope.mul_(weights[0][part])
        if chunk.student_slope is not None:
            slope.add_(chunk.student_slope.mul_(weights[1][part]))
        _add(found[:3], part, chunks.shorten(slope), hidden, chunks.student)
        if chunk.teacher_slope is not None and taught is not None and chunks.teacher is not None:
            slope = chunk.teacher_slope.mul_(weights[1][part])
            _add(found[3:], part, chunks.shorten(slope), taught, chunks.teacher)
    return found


def _add(into: Sequence[Tensor | None], part: slice, slope: Tensor, hidden: Tensor, side: _Side) -> None:
    """What a chunk's `slope` (n, vocabulary) adds to the gradients of (hidden, weight, bias)."""
    to_hidden, to_weight, to_bias = into
    if to_hidden is not None:
        to_hidden[part] = slope @ side.weight
    if to_weight is not None:
        to_weight += slope.T @ hidden[part].to(slope.dtype)
    if to_bias is not None:
        to_bias += slope.sum(0)


def _hidden(tensors: Sequence[Tensor | None]) -> tuple[Tensor, Tensor | None]:
    hidden, taught = tensors[0], tensors[3] if len(tensors) > 3 else None
    if hidden is None:
        raise ValueError("a student has hidden states")
    return hidden, taught


def _slopes(plan: _Plan) -> int:
    """Gradients kept a position: of the log-probability, of the divergence, and of that to the teacher."""
    return 1 if plan.teacher is None else 3 if plan.divergence.symmetric else 2
