"""How far a student is from its teacher over a set of tokens, with gradients in closed form.

Both forms run inside `chunked`, a few positions at a time, like the other divergences.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from personaproof.harden.divergence import Divergence, Evaluated, Form


@dataclass(frozen=True)
class TokenDivergence(Divergence):
    """Of a student s from a teacher t over the tokens S (distinct ids), in nats; the teacher gets no gradient.

    partial (published): sum over S of s (log s - log t), probabilities of the full vocabulary, not renormalised. This
    is no divergence: its least value, -t(S) / e, is at s = t / e on S, so a student that already matches its teacher is
    pushed on to say the tokens *less*.
    proper: the same plus (1 - s(S)) log((1 - s(S)) / (1 - t(S))), which is KL(s || t) over the tokens of S and one
    outcome for all the rest. At least 0, and 0 exactly where the student agrees on S.

    Source: SafeSteer, arXiv 2606.02530 (partial); the chain rule of the divergence (proper).
    """

    tokens: tuple[int, ...] = ()
    proper: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.tokens or len(set(self.tokens)) != len(self.tokens):
            raise ValueError("a divergence over tokens needs at least one, each once")
        if self.symmetric or self.top_k is not None:
            raise ValueError("a divergence over chosen tokens is neither symmetric nor over the top k")

    @property
    def form(self) -> Form:
        return self._evaluate

    def _evaluate(self, log_s: Tensor, log_t: Tensor, spare: Tensor, slopes: bool) -> Evaluated:
        """With a = log s - log t on S, the gradient with respect to the student's logits is, for token v,

        partial: s_v ([v in S] (a_v + 1) - (D + s(S))).
        proper: s_v ([v in S] (a_v - b) + b - D) with b = log((1 - s(S)) / (1 - t(S))).
        """
        chosen = torch.tensor(self.tokens, device=log_s.device)
        log_inside = log_s[:, chosen]
        a = log_inside - log_t[:, chosen]
        inside = log_inside.exp()
        value = (inside * a).sum(-1)
        if self.proper:
            # From the tokens outside, not as 1 - s(S), which is nothing but rounding where S has nearly all the mass.
            log_rest, log_other = (_log_mass_without(chosen, each, spare) for each in (log_s, log_t))
            # Where every token of the vocabulary is in S there is no rest to weigh.
            b = torch.where(log_rest.isneginf(), 0.0, log_rest - log_other)
            value = value + log_rest.exp() * b
            on_tokens, everywhere = a - b[:, None], b - value
        else:
            on_tokens, everywhere = a + 1, -(value + inside.sum(-1))
        if not slopes:
            return Evaluated(value)
        s = log_s.exp_()
        slope = torch.mul(s, everywhere[:, None], out=spare)
        return Evaluated(value, s, slope.index_add_(-1, chosen, inside * on_tokens))


def _log_mass_without(chosen: Tensor, logprobs: Tensor, spare: Tensor) -> Tensor:
    """log of the mass outside `chosen`, (N,), of `logprobs` (N, vocabulary), by way of `spare`."""
    return spare.copy_(logprobs).index_fill_(-1, chosen, -torch.inf).logsumexp(-1)
