"""The safety tokens: those that steering towards refusal raises most, by vote over positions of harmless answers.

Source: SafeSteer, arXiv 2606.02530, and its authors' public code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import DataError, ModelError, Sampling, Trial, item_seed
from personaproof.engines import widest_float
from personaproof.harden.chunked import chunk_positions
from personaproof.harden.head import OutputHead
from personaproof.harden.localized.answers import answers_to, batches
from personaproof.harden.localized.recipe import Vote
from personaproof.harden.localized.teacher import SteeredTeacher
from personaproof.harden.losses import sequence_sum
from personaproof.harden.sequences import Encoder, pack


@dataclass(frozen=True)
class SafetyTokens:
    """The elected, most votes first, with their votes, out of so many positions that each had a ballot."""

    tokens: tuple[int, ...]
    votes: tuple[int, ...]
    positions: int


@dataclass(frozen=True, eq=False)
class Tally:
    """By token, (vocabulary,): positions that voted for it, and the sum of its log-ratios there."""

    votes: Tensor
    margin: Tensor


def tally(log_teacher: Tensor, log_base: Tensor, barred: Tensor, ballots: int) -> Tally:
    """Every position votes for the `ballots` tokens with the largest log p_teacher - log p_base, `barred` ones
    (vocabulary, bool) aside. Both log-probabilities are (positions, vocabulary)."""
    ratio = (log_teacher - log_base).masked_fill(barred, -torch.inf)
    top, tokens = ratio.topk(min(ballots, int((~barred).sum())), dim=-1)
    nothing = top.new_zeros(ratio.shape[-1])
    tokens, top = tokens.flatten(), top.flatten()
    wide = widest_float(top.device)
    return Tally(torch.bincount(tokens, minlength=len(nothing)), nothing.to(wide).index_add(0, tokens, top.to(wide)))


def elect(counted: Tally, seats: int, positions: int) -> SafetyTokens:
    """The `seats` tokens with most votes; among equals those that steering raised more, then the lower id. Tokens
    without a vote are not elected, so there may be fewer."""
    votes, margin = counted.votes.tolist(), counted.margin.tolist()
    standing = [token for token, count in enumerate(votes) if count > 0]
    order = sorted(standing, key=lambda token: (-votes[token], -margin[token], token))[:seats]
    return SafetyTokens(tuple(order), tuple(votes[token] for token in order), positions)


def safety_tokens(
    teacher: SteeredTeacher, encoder: Encoder, ends: Collection[int], harmless: Sequence[Trial], vote: Vote, seed: int
) -> SafetyTokens:
    """Elect the safety tokens of a steered teacher on harmless prompts. `ends` are the tokens that end a turn.

    The teacher answers under steering, and its answers are put to it with and without. Positions from where the
    unsteered model would rather have ended its turn do not vote, and special tokens do not stand. Raises DataError
    where nothing is left to elect, ModelError where steering drives the predictions out of range.
    """
    sampling = Sampling(1.0, 1.0, 0, vote.horizon)
    prompts = encoder.prompts.tokenise([trial.conversation for trial in harmless for _ in range(vote.samples)])
    seeds = [item_seed("vote", seed, trial.id, sample) for trial in harmless for sample in range(vote.samples)]
    steered: list[Tensor] = []
    plain: list[Tensor] = []
    for batch in batches(prompts, vote.horizon):
        chosen = [prompts[i] for i in batch]
        try:
            with teacher.steered():
                sequences = answers_to(teacher.model, chosen, sampling, [seeds[i] for i in batch], ends, encoder)
        except FloatingPointError as error:
            raise ModelError(
                f"the teacher's predictions are not finite at alpha {teacher.alpha:g}; lower alpha, or train with "
                "dtype=float32."
            ) from error
        packed = pack(sequences, encoder.pad_id)
        with teacher.steered():
            under = teacher.hidden(packed)
        with teacher.plain():
            without = teacher.hidden(packed)
        keep = _before_end(without, teacher.head, packed.owner.to(without.device), len(batch), ends)
        steered.append(under[keep])
        plain.append(without[keep])
    states = torch.cat(steered), torch.cat(plain)
    positions = len(states[0])
    if positions == 0:
        raise DataError("the model ends its turn at once on every harmless prompt, so no token can be elected.")
    barred = _special(encoder.prompts.tokenizer, ends, len(teacher.head.weight), states[0].device)
    total = torch.zeros(len(barred), dtype=widest_float(barred.device), device=barred.device)
    for logprobs in _logprobs(states[0], teacher.head):
        total += logprobs.exp().sum(0)
    barred |= total / positions < vote.least_probability
    if bool(barred.all()):
        raise DataError("no token is likely enough to be elected; lower vote.least_probability.")
    counted: Tally | None = None
    for log_teacher, log_base in zip(*(_logprobs(each, teacher.head) for each in states), strict=True):
        part = tally(log_teacher, log_base, barred, vote.ballots)
        counted = part if counted is None else Tally(counted.votes + part.votes, counted.margin + part.margin)
    assert counted is not None
    return elect(counted, vote.tokens, positions)


def _logprobs(hidden: Tensor, head: OutputHead) -> Iterator[Tensor]:
    """Log-probabilities (n, vocabulary) of `hidden` (N, width), a few positions at a time."""
    for part in torch.split(hidden, chunk_positions(head)):
        with torch.no_grad():  # and not around the yield, or it would hold for the caller too
            logprobs = head.logits(part).log_softmax(-1)
        yield logprobs


def _before_end(hidden: Tensor, head: OutputHead, owner: Tensor, rows: int, ends: Collection[int]) -> Tensor:
    """Which positions (N,) come before the first of their row at which `head` most expects the turn to end."""
    stops = torch.tensor(sorted(ends), device=hidden.device)
    best = torch.cat([logprobs.argmax(-1) for logprobs in _logprobs(hidden, head)])
    ended = torch.isin(best, stops).long()
    # Rows lie one after another: what was counted before a row began is taken off again.
    before = sequence_sum(ended, owner, rows).cumsum(0) - sequence_sum(ended, owner, rows)
    return ended.cumsum(0) - before[owner] == 0


def _special(tokenizer: Any, ends: Collection[int], vocabulary: int, device: torch.device) -> Tensor:
    """(vocabulary,) bool: special tokens, those that end a turn, and rows of the head that no token stands for."""
    special = set(tokenizer.all_special_ids) | set(ends)
    special |= {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    barred = torch.arange(vocabulary, device=device) >= len(tokenizer)
    barred[[token for token in special if token < vocabulary]] = True
    return barred
