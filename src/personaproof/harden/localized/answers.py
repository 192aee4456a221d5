"""Answers of a model in training, in tokens, ready to be scored."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from personaproof.core import ModelError, Sampling
from personaproof.engines._decode import decode
from personaproof.engines._loading import explain_out_of_memory
from personaproof.harden.sequences import Encoder, TokenSequence

TOKENS_A_PASS = 16_384


def answers_to(
    model: Any,
    prompts: Sequence[Sequence[int]],
    sampling: Sampling,
    seeds: Sequence[int],
    ends: Collection[int],
    encoder: Encoder,
) -> list[TokenSequence]:
    """Sample an answer to each prompt, from its own stream of random numbers and without dropout. An answer that ended
    by itself is closed by the end of turn, whose prediction is a position like any other.

    Interventions that are active act. Raises FloatingPointError where a prediction is not finite, so that nothing can
    be drawn from it, and ModelError where memory runs out.
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        # Not inference mode: the trainer's mixed precision may keep shortened weights, which then could not be trained.
        advice = "lower micro_batch_rows or max_new_tokens"
        with torch.no_grad(), explain_out_of_memory(ModelError, advice), _finite_predictions(model):
            found = decode(model, prompts, [sampling] * len(prompts), seeds, ends)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return [
        TokenSequence(tuple(prompt), (*answer.tokens, encoder.end_of_turn) if answer.stopped else tuple(answer.tokens))
        for prompt, answer in zip(prompts, found, strict=True)
    ]


@contextmanager
def _finite_predictions(model: Any) -> Iterator[None]:
    def check(module: Any, args: Any, output: Any) -> None:
        if not bool(torch.isfinite(output.logits).all()):
            raise FloatingPointError("the model's predictions are not finite")

    handle = model.register_forward_hook(check)
    try:
        yield
    finally:
        handle.remove()


def batches(prompts: Sequence[Sequence[int]], more: int) -> list[list[int]]:
    """Indices of prompts of like length, in passes of bounded size with `more` tokens of answer each."""
    order = sorted(range(len(prompts)), key=lambda i: (len(prompts[i]), i))
    found: list[list[int]] = []
    for index in order:
        # In order of length, so the newcomer is the longest and sets the width.
        if not found or (len(found[-1]) + 1) * (len(prompts[index]) + more) > TOKENS_A_PASS:
            found.append([])
        found[-1].append(index)
    return found
