"""One measurement of `bench loss`, in a process of its own: ``python -m personaproof.bench.loss_case '{...}'``.

From final hidden states to their gradients: 4 preference rows, say, each with a chosen response (and its persona-free
teacher) and a rejected one. What a process allocated before cannot hide or lend memory to what is measured.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from personaproof.engines._loading import choose_device, choose_dtype
from personaproof.harden.head import OutputHead, Teacher
from personaproof.harden.losses import (
    dpo_loss,
    sequence_mean,
    sequence_sum,
    token_logprobs,
    token_logprobs_and_kl,
)

BETA = 0.1
PAGE = 4096
"""Bytes: the least growth of a process that can be seen."""


@dataclass(frozen=True)
class LossCase:
    """What to measure. `form` is a key of FORMS; `seed` draws the numbers."""

    form: str
    vocabulary: int
    rows: int
    tokens: int
    width: int
    device: str
    dtype: str
    seed: int


@dataclass(frozen=True)
class LossCost:
    """`seconds` of forward and backward, peak `megabytes` over what the inputs take, and what came out: the loss, and
    the norms of the gradients of chosen and rejected hidden states."""

    seconds: float
    megabytes: float
    loss: float
    chosen_gradient: float
    rejected_gradient: float
    device: str
    dtype: str
    threads: int


@dataclass(frozen=True)
class _Inputs:
    """Hidden states (rows, tokens, width), targets (rows, tokens) and the output head they share."""

    chosen: Tensor
    rejected: Tensor
    plain: Tensor
    chosen_targets: Tensor
    rejected_targets: Tensor
    head: OutputHead


def joint(inputs: _Inputs) -> Tensor:
    """Ours: DPO and the exact divergence from one set of logits, in chunks."""
    rows, tokens, _ = inputs.chosen.shape
    owner = torch.arange(rows, device=inputs.chosen.device).repeat_interleave(tokens)
    teacher = Teacher(inputs.plain.flatten(0, 1), inputs.head)
    chosen, kl = token_logprobs_and_kl(
        inputs.chosen.flatten(0, 1), inputs.head, inputs.chosen_targets.flatten(), teacher
    )
    rejected = token_logprobs(inputs.rejected.flatten(0, 1), inputs.head, inputs.rejected_targets.flatten())
    return (
        _dpo(*(sequence_sum(part, owner, rows) for part in (chosen, rejected))) + sequence_mean(kl, owner, rows)
    ).mean()


def dense(inputs: _Inputs) -> Tensor:
    """The same loss row by row, each on the whole vocabulary at once, as the paper's code goes about it."""
    losses = []
    for i in range(len(inputs.chosen)):
        log_s = torch.log_softmax(inputs.head.logits(inputs.chosen[i]), dim=-1)
        log_r = torch.log_softmax(inputs.head.logits(inputs.rejected[i]), dim=-1)
        with torch.no_grad():
            log_t = torch.log_softmax(inputs.head.logits(inputs.plain[i]), dim=-1)
        kl = (log_t.exp() * (log_t - log_s)).sum(-1).mean()
        chosen = log_s.gather(-1, inputs.chosen_targets[i, :, None]).sum()
        rejected = log_r.gather(-1, inputs.rejected_targets[i, :, None]).sum()
        losses.append(_dpo(chosen, rejected) + kl)
    return torch.stack(losses).mean()


def apart(inputs: _Inputs) -> Tensor:
    """DPO alone, in our chunks, and the teacher's forward pass through the head, of which nothing is used."""
    rows, tokens, _ = inputs.chosen.shape
    owner = torch.arange(rows, device=inputs.chosen.device).repeat_interleave(tokens)
    chosen = token_logprobs(inputs.chosen.flatten(0, 1), inputs.head, inputs.chosen_targets.flatten())
    rejected = token_logprobs(inputs.rejected.flatten(0, 1), inputs.head, inputs.rejected_targets.flatten())
    with torch.no_grad():
        token_logprobs(inputs.plain.flatten(0, 1), inputs.head, inputs.chosen_targets.flatten())
    return _dpo(*(sequence_sum(part, owner, rows) for part in (chosen, rejected))).mean()


FORMS: dict[str, Callable[[_Inputs], Tensor]] = {"joint": joint, "dense": dense, "dpo+teacher": apart}


def measure(case: LossCase) -> LossCost:
    """Raises ModelError for a device or type that is not to be had here."""
    device = choose_device(case.device)
    dtype = choose_dtype(case.dtype, device)
    form = FORMS[case.form]
    _run(form, _inputs(case, device, dtype, vocabulary=256, tokens=16))  # loads kernels, and little memory
    inputs = _inputs(case, device, dtype, vocabulary=case.vocabulary, tokens=case.tokens)
    before = _reset_peak(device)
    # The first pass meets memory that the process does not have yet; the second is the one that takes its time.
    loss = _run(form, inputs)
    grown = max(_peak(device) - before, PAGE)
    started = time.perf_counter()
    _run(form, inputs)
    seconds = time.perf_counter() - started
    chosen, rejected = (
        0.0 if states.grad is None else float(states.grad.float().norm()) for states in (inputs.chosen, inputs.rejected)
    )
    type_ = str(dtype).removeprefix("torch.")
    return LossCost(seconds, grown / 2**20, loss, chosen, rejected, device.type, type_, torch.get_num_threads())


def _run(form: Callable[[_Inputs], Tensor], inputs: _Inputs) -> float:
    inputs.chosen.grad = inputs.rejected.grad = None
    loss = form(inputs)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()  # waits for a GPU to be done


def _inputs(case: LossCase, device: torch.device, dtype: torch.dtype, *, vocabulary: int, tokens: int) -> _Inputs:
    """Drawn in place and in the type they stay in, so that making them leaves no peak behind."""
    torch.manual_seed(case.seed)

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.empty(shape, dtype=dtype, device=device).normal_(0, scale)

    def targets() -> Tensor:
        return torch.randint(vocabulary, (case.rows, tokens), device=device)

    states = [normal(case.rows, tokens, case.width) for _ in range(3)]
    head = OutputHead(normal(vocabulary, case.width, scale=case.width**-0.5))
    return _Inputs(states[0].requires_grad_(), states[1].requires_grad_(), states[2], targets(), targets(), head)


def _dpo(chosen: Tensor, rejected: Tensor) -> Tensor:
    zero = torch.zeros_like(chosen)
    return dpo_loss(chosen, rejected, zero, zero, BETA)


def _reset_peak(device: torch.device) -> int:
    """Bytes in use, from which the peak is counted anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    # Where there is no such file the peak so far stands, that of imports included.
    with suppress(FileNotFoundError, PermissionError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak(device)


def _peak(device: torch.device) -> int:
    """Bytes. Linux' own figure of this process: `ru_maxrss` includes the process that started it."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    print(json.dumps(asdict(measure(LossCase(**json.loads(sys.argv[1]))))))
