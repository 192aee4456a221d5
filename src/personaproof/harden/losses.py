"""The losses of hardening as pure functions of hidden states and log-probabilities.

What touches the vocabulary goes through `chunked`: neither the forward nor the backward pass ever holds (positions,
vocabulary) in full, so the exact divergence costs no more memory than a truncated one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from personaproof.harden.chunked import terms_from_hidden
from personaproof.harden.divergence import KL, Divergence
from personaproof.harden.head import OutputHead, Teacher


def token_logprobs(hidden: Tensor, head: OutputHead, targets: Tensor, *, chunk: int | None = None) -> Tensor:
    """Natural-log probabilities (N,) of the token ids `targets` (N,) given final hidden states (N, width)."""
    return terms_from_hidden(hidden, head, targets, chunk=chunk)[0]


def token_logprobs_and_kl(
    hidden: Tensor,
    head: OutputHead,
    targets: Tensor,
    teacher: Teacher,
    divergence: Divergence = KL,
    *,
    chunk: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of `targets` and the divergence between student and teacher a position, both (N,), from one set
    of logits. By default KL(sg[teacher] || student), exact over the vocabulary, in nats; no gradient reaches the
    teacher but through the symmetric form.
    """
    return terms_from_hidden(hidden, head, targets, teacher, divergence, chunk)


def unilateral_kl(
    hidden: Tensor,
    head: OutputHead,
    teacher: Teacher,
    owner: Tensor,
    sequences: int,
    *,
    chunk: int | None = None,
) -> Tensor:
    """PIC of each sequence, (sequences,): (1/|y|) sum_t KL( sg[pi(. | q, y_<t)] || pi(. | P, q, y_<t) ).

    "Disentangling Intent from Role" (2026): the persona-conditioned student is pulled to the persona-free teacher and
    never the other way. `hidden` and `teacher.hidden` are (N, width), the states that predict the response tokens of
    all sequences one after another; `owner` (N,) says which sequence each position belongs to. A sequence without
    positions has divergence 0.
    """
    targets = torch.zeros(len(owner), dtype=torch.long, device=hidden.device)  # the log-probabilities go unused
    _, divergence = token_logprobs_and_kl(hidden, head, targets, teacher, chunk=chunk)
    return sequence_mean(divergence, owner, sequences)


def sequence_sum(values: Tensor, owner: Tensor, sequences: int) -> Tensor:
    """Sum of `values` (N,) by owner, as (sequences,)."""
    return values.new_zeros(sequences).index_add(0, owner, values)


def sequence_mean(values: Tensor, owner: Tensor, sequences: int) -> Tensor:
    """Mean of `values` (N,) by owner, as (sequences,); 0 for a sequence that owns none."""
    counts = torch.bincount(owner, minlength=sequences).clamp(min=1)
    return sequence_sum(values, owner, sequences) / counts


def dpo_loss(
    chosen: Tensor, rejected: Tensor, reference_chosen: Tensor, reference_rejected: Tensor, beta: float
) -> Tensor:
    """Direct preference optimisation, (rows,): -log sigmoid(beta * margin) (Rafailov et al. 2023, equation 7).

    All inputs are log-probabilities of whole responses (rows,), summed over tokens; the margin is how much more than
    the reference the policy prefers the chosen response to the rejected one.
    """
    margin = (chosen - reference_chosen) - (rejected - reference_rejected)
    return -functional.logsigmoid(beta * margin)


def sequence_nll(logprobs: Tensor, owner: Tensor, sequences: int) -> Tensor:
    """Negative log-likelihood a token, (sequences,): the mean over a response, so that long answers weigh no more."""
    return -sequence_mean(logprobs, owner, sequences)
