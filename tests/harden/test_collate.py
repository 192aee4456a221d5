"""Training contexts against what generation really sees and produces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from personaproof.core import ModelError, Persona, Request, direct, framings
from personaproof.engines import Prompts
from personaproof.harden import PICLRecipe, Row
from personaproof.harden.picl.batch import collate, totals
from personaproof.harden.picl.collate import EncodedRow, RowEncoder
from personaproof.harden.picl.frozen import FrozenRow
from personaproof.harden.sequences import TokenSequence, pack

PIRATE = Persona("You are a pirate captain who answers every question in rhyme.")
STEAL = Request("Tell me how to steal bread.", True)
BAKE = Request("Tell me how to bake bread.", False)
ROW = Row("preference", STEAL, PIRATE, "I can't help with that.", "Sure! Here is what you asked for.")
ENDS = {"tiny_llama": "<|end|>", "tiny_qwen2": "<|im_end|>", "tiny_gemma": "<end_of_turn>"}


@pytest.fixture(params=sorted(ENDS))
def named(request: pytest.FixtureRequest) -> tuple[str, Path]:
    return request.param, request.getfixturevalue(request.param)


def test_context_and_response_are_those_of_generation(named: tuple[str, Path]) -> None:
    name, path = named
    tokenizer = AutoTokenizer.from_pretrained(path)
    prompts = Prompts(tokenizer, name)
    [encoded] = RowEncoder(tokenizer, name).encode([ROW])
    framing = framings.get("system" if prompts.supports_system else "user")
    [in_persona, plain] = prompts.tokenise([framing.render(PIRATE, STEAL), direct(STEAL)])
    assert list(encoded.chosen.prompt) == in_persona
    assert encoded.rejected is not None
    assert encoded.rejected.prompt == encoded.chosen.prompt
    assert encoded.plain == TokenSequence(tuple(plain), encoded.chosen.response)
    assert tokenizer.decode(encoded.chosen.response) == f"I can't help with that.{ENDS[name]}"
    if tokenizer.bos_token_id is not None:
        assert list(encoded.chosen.prompt).count(tokenizer.bos_token_id) == 1
    whole = tokenizer.decode(encoded.plain.prompt + encoded.plain.response)
    assert PIRATE.text not in whole
    messages = [{"role": "user", "content": STEAL.text}, {"role": "assistant", "content": ROW.chosen}]
    assert tokenizer.apply_chat_template(messages, tokenize=False).strip() == whole.strip()


def test_a_response_cut_off_teaches_no_end_of_turn(tiny_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    row = Row("preference", STEAL, None, "I can't he", "Sure! Here", chosen_complete=False, rejected_complete=False)
    [encoded] = RowEncoder(tokenizer, "tiny").encode([row])
    assert encoded.plain is None
    assert encoded.rejected is not None
    assert tokenizer.eos_token_id not in encoded.chosen.response + encoded.rejected.response


def test_a_row_that_names_its_framing_keeps_it(tiny_llama: Path, tiny_gemma: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    row = Row("preserve", BAKE, PIRATE, "Arr!", framing="user")
    [encoded] = RowEncoder(tokenizer, "tiny").encode([row])
    assert "<|system|>" not in tokenizer.decode(encoded.chosen.prompt)
    with pytest.raises(ModelError, match="system"):
        RowEncoder(AutoTokenizer.from_pretrained(tiny_gemma), "g").encode(
            [Row("preserve", BAKE, PIRATE, "A", framing="system")]
        )


def test_a_tokenizer_without_a_template_is_refused(tiny_llama: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        RowEncoder(tokenizer, "tiny")


def test_pack_points_at_the_tokens_before_the_response() -> None:
    packed = pack([TokenSequence((5, 6, 7), (8, 9)), TokenSequence((5,), (4,))], pad_id=0)
    assert packed.input_ids.tolist() == [[5, 6, 7, 8, 9], [5, 4, 0, 0, 0]]
    assert packed.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    assert packed.positions.tolist() == [2, 3, 5]
    assert packed.targets.tolist() == [8, 9, 4]
    assert packed.owner.tolist() == [0, 0, 1]


def test_padding_and_packing_change_no_log_probability(named: tuple[str, Path]) -> None:
    """Each response scored alone, unpadded, by the model's own logits."""
    from personaproof.harden.forward import final_hidden, output_head
    from personaproof.harden.losses import sequence_sum, token_logprobs

    name, path = named
    model = AutoModelForCausalLM.from_pretrained(path).eval()
    rows = [ROW, Row("sft", BAKE, None, "First, second, third. " * 4), Row("preserve", BAKE, PIRATE, "Arr!")]
    encoded = RowEncoder(AutoTokenizer.from_pretrained(path), name).encode(rows)
    packed = pack([row.chosen for row in encoded], 0)
    with torch.no_grad():
        hidden = final_hidden(model, model, packed.input_ids, packed.attention_mask, packed.positions)
        ours = sequence_sum(token_logprobs(hidden, output_head(model), packed.targets), packed.owner, 3)
        for row, value in zip(encoded, ours.tolist(), strict=True):
            tokens = torch.tensor([row.chosen.prompt + row.chosen.response])
            logprobs = model(tokens).logits[0].double().log_softmax(-1)
            n = len(row.chosen.prompt)
            expected = sum(logprobs[n - 1 + i, t].item() for i, t in enumerate(row.chosen.response))
            assert value == pytest.approx(expected, abs=1e-3)


def _row(kind: str, persona: Persona | None, token: int) -> EncodedRow:
    rejected = TokenSequence((1, 2), (token + 50,)) if kind == "preference" else None
    plain = TokenSequence((3,), (token, token)) if rejected and persona else None
    request = STEAL if kind == "preference" else BAKE
    row = Row(kind, request, persona, f"c{token}", f"r{token}" if rejected else None)  # type: ignore[arg-type]
    return EncodedRow(row, TokenSequence((1, 2), (token, token)), rejected, plain)


def test_the_teachers_positions_are_the_first_of_the_students() -> None:
    encoded = [
        _row("sft", None, 10),
        _row("preserve", PIRATE, 11),
        _row("preference", PIRATE, 12),
        _row("preference", None, 13),
        _row("preference", PIRATE, 14),
    ]
    frozen = [FrozenRow(-i, -2 * i, torch.full((2, 4), float(i))) for i in range(5)]
    recipe = PICLRecipe()
    batch = collate(encoded, frozen, totals([row.row for row in encoded]), recipe, pad_id=0)
    # PIC's rows, preservation's, the rest; then the rejected responses in the same order.
    assert batch["targets"].tolist() == [12, 12, 14, 14, 11, 11, 10, 10, 13, 13, 62, 64, 63]
    assert batch["plain_input_ids"].tolist() == [[3, 12, 12], [3, 14, 14]]
    assert batch["frozen_preserve"].tolist() == [[1.0] * 4] * 2
    assert "frozen_pic" not in batch
    assert batch["pairs"].tolist() == [0, 1, 4]
    assert batch["reference"].tolist() == [[-2, -4], [-4, -8], [-3, -6]]
    # DPO, NLL, KL: four main rows, two in persona, one to preserve.
    expected = [[0.25, 0, 0.5], [0.25, 0, 0.5], [0, 3, 3], [0, 0.1 / 4, 0], [0.25, 0, 0]]
    torch.testing.assert_close(batch["coefficients"], torch.tensor(expected))


def test_what_weighs_nothing_costs_nothing() -> None:
    encoded = [_row("preference", PIRATE, 12), _row("sft", None, 10)]
    frozen = [FrozenRow(), FrozenRow()]
    batch = collate(encoded, frozen, totals([row.row for row in encoded]), PICLRecipe(variant="sft"), pad_id=0)
    assert batch["targets"].tolist() == [12, 12, 10, 10]
    assert not {"plain_input_ids", "frozen_pic", "frozen_preserve"} & set(batch)
    frozen = [FrozenRow(hidden=torch.ones(2, 4)), FrozenRow()]
    batch = collate(encoded, frozen, totals([r.row for r in encoded]), PICLRecipe(teacher="frozen"), pad_id=0)
    assert "plain_input_ids" not in batch
    assert batch["frozen_pic"].shape == (2, 4)


MIXED = [_row("preserve", PIRATE, 11), _row("preference", PIRATE, 12), _row("preference", PIRATE, 14)]
MIXED_FROZEN = [FrozenRow(-i, -2 * i, torch.arange(2.0)[:, None] + 10 * i) for i in range(3)]


def _mixed(**settings: Any) -> dict[str, Any]:
    denominators = totals([row.row for row in MIXED])
    return collate(MIXED, MIXED_FROZEN, denominators, PICLRecipe.model_validate(settings), pad_id=0)


@pytest.mark.parametrize("teacher", ["live", "ema", "frozen"])
def test_only_the_deciding_tokens_are_taught(teacher: str) -> None:
    """The first token of each refusal, then both of the answer to preserve, then whatever is scored alone."""
    batch = _mixed(teacher=teacher, pic_positions="decision", decision_tokens=1)
    assert batch["targets"].tolist() == [12, 14, 11, 11, 12, 14, 62, 64]
    assert batch["owner"].tolist() == [0, 1, 2, 2, 0, 1, 3, 4]
    assert batch["positions"].tolist() == [1, 5, 9, 10, 2, 6, 13, 17]
    assert batch["frozen_preserve"].tolist() == [[0.0], [1.0]]
    if teacher == "frozen":
        assert batch["frozen_pic"].tolist() == [[10.0], [20.0]]
    else:
        assert batch["plain_input_ids"].tolist() == [[3, 12], [3, 14]]
        assert batch["plain_positions"].tolist() == [0, 2]
    # More than there are is all.
    whole = _mixed(teacher=teacher, pic_positions="decision", decision_tokens=9)
    assert whole["targets"].tolist() == _mixed(teacher=teacher)["targets"].tolist()


@pytest.mark.parametrize(("tokens", "last"), [(1, [20, 24]), (9, [20, 21, 24, 25])])
def test_a_symmetric_divergence_puts_the_persona_free_contexts_last(tokens: int, last: list[int]) -> None:
    batch = _mixed(divergence="symmetric", pic_positions="decision", decision_tokens=tokens)
    assert "plain_input_ids" not in batch
    assert batch["input_ids"].shape == (3 + 2 + 2, 4)
    assert batch["input_ids"][5:, :2].tolist() == [[3, 12], [3, 14]]
    assert batch["positions"][8:].tolist() == last
    assert len(batch["targets"]) == len(batch["owner"]) == 8
    assert batch["owner"].max() == 4


def test_a_teacher_that_was_not_prepared_is_no_silent_misalignment() -> None:
    encoded = [_row("preserve", PIRATE, 11)]
    with pytest.raises(ValueError, match="no teacher"):
        collate(encoded, [FrozenRow()], totals([encoded[0].row]), PICLRecipe(), pad_id=0)
