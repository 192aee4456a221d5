"""One forward pass' worth of rows as tensors, with what each loss term of each row weighs in the whole step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from personaproof.harden.picl.collate import EncodedRow
from personaproof.harden.picl.frozen import FrozenRow
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.harden.picl.rows import Row
from personaproof.harden.sequences import Packed, TokenSequence, pack

T = TypeVar("T")
Group = str
"""What a row contributes to: "preference" and "sft" share one mean, "pic" and "preserve" have their own."""


def is_taught(row: Row, recipe: PICLRecipe) -> bool:
    """Whether a teacher distribution is imitated on this row."""
    if row.kind == "preserve":
        return recipe.preserve_weight > 0
    return row.kind == "preference" and row.persona is not None and recipe.pic_weight > 0


def taught_tokens(row: EncodedRow, recipe: PICLRecipe) -> int:
    """Tokens of the chosen response, from its first, on which a teacher is imitated."""
    length = len(row.chosen.response) if is_taught(row.row, recipe) else 0
    if row.row.kind == "preserve" or recipe.pic_positions == "all":
        return length
    return min(length, recipe.decision_tokens)


def has_weight(row: Row, recipe: PICLRecipe) -> bool:
    """Whether any term of the recipe's loss touches this row."""
    if row.kind == "preference":
        return recipe.dpo_weight > 0 or recipe.chosen_nll_weight > 0 or is_taught(row, recipe)
    return (recipe.alpha if row.kind == "sft" else recipe.preserve_weight) > 0


def totals(rows: Sequence[Row]) -> dict[Group, int]:
    """The denominators of one step: rows under each of the three means."""
    counted = Counter("preserve" if row.kind == "preserve" else "main" for row in rows)
    counted["pic"] = sum(row.kind == "preference" and row.persona is not None for row in rows)
    return dict(counted)


def coefficients(row: Row, denominators: dict[Group, int], recipe: PICLRecipe) -> tuple[float, float, float]:
    """What the row's (DPO, NLL, KL) weigh in the step's loss: the term's weight over the size of its mean.

    The sum over all rows of a step, however they are spread over forward passes and processes, is PICL's joint loss.
    """
    if row.kind == "preserve":
        share = recipe.preserve_weight / denominators["preserve"]
        return 0.0, share, share
    if row.kind == "sft":
        return 0.0, recipe.alpha / denominators["main"], 0.0
    consistency = recipe.pic_weight / denominators["pic"] if row.persona is not None else 0.0
    return recipe.dpo_weight / denominators["main"], recipe.chosen_nll_weight / denominators["main"], consistency


def collate(
    encoded: Sequence[EncodedRow],
    frozen: Sequence[FrozenRow],
    denominators: dict[Group, int],
    recipe: PICLRecipe,
    pad_id: int,
) -> dict[str, Any]:
    """Tensors of one forward pass (at least one row).

    Rows are put in order: taught by PIC, taught by preservation, then the rest. The student's sequences are the chosen
    responses of all R rows, then the rejected responses of the P rows that have one, and then, where the divergence is
    symmetric, the chosen responses of PIC's rows in their persona-free contexts.

    input_ids, attention_mask, positions: the student's `Packed`. targets, owner (N,): its too, but without the
    persona-free ones, whose positions are the last. PIC's positions are the first of all, preservation's the next.
    plain_*: the `Packed` of PIC's persona-free contexts, where a teacher is to be run on them apart. frozen_pic,
    frozen_preserve (positions, width): the untrained model's states, where it is the teacher.
    pairs (P,): rows of the rejected responses. reference (P, 2): log-probabilities of chosen and rejected under the
    untrained model. coefficients (R, 3): of DPO, NLL and KL. rows: the rows.
    """

    def place(item: tuple[EncodedRow, FrozenRow]) -> int:
        row = item[0].row
        return 2 if not is_taught(row, recipe) else 1 if row.kind == "preserve" else 0

    ordered = sorted(zip(encoded, frozen, strict=True), key=place)
    places = [place(item) for item in ordered]
    rows = [row for row, _ in ordered]
    taught = [taught_tokens(row, recipe) for row in rows]
    # Without DPO nothing looks at the rejected responses, and their forward pass is saved.
    pairs = [i for i, row in enumerate(rows) if row.rejected is not None and recipe.dpo_weight > 0]
    plain = [
        TokenSequence(context.prompt, context.response[:n])
        for row, p, n in zip(rows, places, taught, strict=True)
        if p == 0 and (context := _present(row.plain, row))
    ]
    own = [row.chosen for row in rows] + [r for i in pairs if (r := rows[i].rejected) is not None]
    symmetric = recipe.divergence == "symmetric"
    student = pack(own + plain if symmetric else own, pad_id)
    order = _taught_first(student, taught + [0] * len(pairs) + ([0] * len(plain) if symmetric else []))
    scored = sum(len(sequence.response) for sequence in own)
    batch: dict[str, Any] = {
        "input_ids": student.input_ids,
        "attention_mask": student.attention_mask,
        "positions": student.positions[order],
        "targets": student.targets[order][:scored],
        "owner": student.owner[order][:scored],
        "pairs": torch.tensor(pairs, dtype=torch.long),
        "reference": torch.tensor([[ordered[i][1].chosen, ordered[i][1].rejected] for i in pairs]).reshape(-1, 2),
        "coefficients": torch.tensor([coefficients(row.row, denominators, recipe) for row in rows]),
        "rows": [row.row for row in rows],
    }
    if plain and not symmetric and recipe.teacher != "frozen":
        teacher = pack(plain, pad_id)
        batch["plain_input_ids"] = teacher.input_ids
        batch["plain_attention_mask"] = teacher.attention_mask
        batch["plain_positions"] = teacher.positions
    for name, where in (("frozen_pic", 0), ("frozen_preserve", 1)):
        if where in places and (where == 1 or recipe.teacher == "frozen"):
            items = [(f, row, n) for (row, f), p, n in zip(ordered, places, taught, strict=True) if p == where]
            batch[name] = torch.cat([_present(f.hidden, row)[:n] for f, row, n in items])
    return batch


def _taught_first(packed: Packed, taught: Sequence[int]) -> Tensor:
    """The order of a `Packed`'s positions that puts the first `taught[s]` of each sequence s before all the others."""
    lengths = torch.bincount(packed.owner, minlength=len(taught))
    rank = torch.arange(len(packed.owner)) - (lengths.cumsum(0) - lengths)[packed.owner]
    return torch.argsort((rank >= torch.tensor(taught)[packed.owner]).long(), stable=True)


def _present(value: T | None, row: EncodedRow) -> T:
    """A taught row without its teacher would shift every teacher after it by a row."""
    if value is None:
        raise ValueError(f"no teacher was prepared for the {row.row.describe()}")
    return value
