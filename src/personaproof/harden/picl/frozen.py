"""What the untrained model says about every row, computed once before training.

It never changes, so DPO's reference log-probabilities and the preservation teacher's hidden states cost one pass in
all instead of one a step, and full fine-tuning needs no second copy of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.harden.forward import adapter_off, base_of, final_hidden, without_dropout
from personaproof.harden.head import OutputHead
from personaproof.harden.losses import sequence_sum, token_logprobs
from personaproof.harden.picl.collate import EncodedRow
from personaproof.harden.sequences import TokenSequence, pack

TOKENS_A_PASS = 16_384


@dataclass(frozen=True)
class FrozenRow:
    """Of one row under the untrained model: total log-probabilities of its responses (preference rows), and final
    hidden states (|y|, width) that predict the chosen response (rows with a frozen teacher)."""

    chosen: float = 0.0
    rejected: float = 0.0
    hidden: Tensor | None = None


def frozen_rows(
    model: Any, head: OutputHead, rows: Sequence[EncodedRow], pad_id: int, dtype: torch.dtype, *, frozen_pic: bool
) -> list[FrozenRow]:
    """One FrozenRow a row. Call before the first step. `frozen_pic`: PIC too imitates the untrained model.

    The hidden states stay in main memory in the model's own precision: tokens of the taught responses x width.
    """
    wanted: list[tuple[int, str, TokenSequence]] = []
    for i, row in enumerate(rows):
        if row.rejected is not None:
            wanted += [(i, "chosen", row.chosen), (i, "rejected", row.rejected)]
            if frozen_pic and row.plain is not None:
                wanted.append((i, "hidden", row.plain))
        elif row.row.kind == "preserve":
            wanted.append((i, "hidden", row.chosen))
    found: list[dict[str, Any]] = [{} for _ in rows]
    with without_dropout(model, dtype), adapter_off(model):
        for batch in _batches(wanted):
            packed = pack([sequence for _, _, sequence in batch], pad_id)
            device = head.weight.device
            hidden = final_hidden(
                model,
                base_of(model),
                packed.input_ids.to(device),
                packed.attention_mask.to(device),
                packed.positions.to(device),
            )
            owner = packed.owner.to(device)
            logprobs = token_logprobs(hidden, head, packed.targets.to(device))
            totals = sequence_sum(logprobs, owner, packed.sequences).tolist()
            for place, (i, what, _) in enumerate(batch):
                found[i][what] = hidden[owner == place].cpu() if what == "hidden" else totals[place]
    return [FrozenRow(**values) for values in found]


def _batches(wanted: list[tuple[int, str, TokenSequence]]) -> list[list[tuple[int, str, TokenSequence]]]:
    batches: list[list[tuple[int, str, TokenSequence]]] = []
    for item in sorted(wanted, key=lambda w: len(w[2])):
        # In order of length, so the newcomer is the longest and sets the width.
        if not batches or (len(batches[-1]) + 1) * len(item[2]) > TOKENS_A_PASS:
            batches.append([])
        batches[-1].append(item)
    return batches
