"""The joint loss against the formula written out row by row on dense float64 logits, and the teacher's silence."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainingArguments

from personaproof.core import ModelError
from personaproof.harden import VARIANTS, PICLRecipe, Row
from personaproof.harden.divergence import KL
from personaproof.harden.forward import base_of, final_hidden, output_head, without_dropout
from personaproof.harden.picl.collate import EncodedRow, RowEncoder
from personaproof.harden.picl.frozen import frozen_rows
from personaproof.harden.picl.trainer import PassDataset, PICLTrainer
from personaproof.harden.sequences import TokenSequence


def _double(path: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float64).eval()


def _encode(path: Path, rows: list[Row]) -> list[EncodedRow]:
    return RowEncoder(AutoTokenizer.from_pretrained(path), "tiny").encode(rows)


def _rows(rows: list[Row]) -> list[Row]:
    """Two rows in persona, one direct preference, two to preserve, two of likelihood."""
    preference = [row for row in rows if row.kind == "preference"]
    direct = Row("preference", preference[2].request, None, preference[2].chosen, preference[2].rejected)
    return [
        *preference[:2],
        direct,
        *[r for r in rows if r.kind == "preserve"][:2],
        *[r for r in rows if r.kind == "sft"][:2],
    ]


def _logp(model: Any, sequence: TokenSequence) -> Tensor:
    """Dense log-probabilities (|y|, vocabulary) at the response's positions, of one unpadded sequence."""
    logits = model(torch.tensor([sequence.prompt + sequence.response])).logits[0]
    n = len(sequence.prompt)
    return logits[n - 1 : n - 1 + len(sequence.response)].log_softmax(-1)


def _of_tokens(logp: Tensor, sequence: TokenSequence) -> Tensor:
    return logp[torch.arange(len(sequence.response)), torch.tensor(sequence.response)]


def _divergence(student: Tensor, teacher: Tensor, recipe: PICLRecipe) -> Tensor:
    """PIC of one response from dense log-probabilities (|y|, vocabulary)."""
    if recipe.pic_positions == "decision":
        student, teacher = student[: recipe.decision_tokens], teacher[: recipe.decision_tokens]
    if recipe.divergence == "symmetric":
        forward, backward = teacher.exp() * (teacher - student), student.exp() * (student - teacher)
        return (forward + backward).sum(-1).mean() / 2
    teacher = teacher.detach()
    terms = teacher.exp() * (teacher - student)
    if recipe.kl_top_k is not None:
        terms = terms.gather(-1, teacher.topk(recipe.kl_top_k).indices)
    return terms.sum(-1).mean()


def _written_out(student: Any, untrained: Any, averaged: Any, rows: list[EncodedRow], recipe: PICLRecipe) -> Tensor:
    """PICL's joint loss as in the docstring of PICLRecipe, one row after another."""
    teacher = {"live": student, "frozen": untrained, "ema": averaged}[recipe.teacher]
    main, pic, preserve = [], [], []
    for row in rows:
        logp = _logp(student, row.chosen)
        nll = -_of_tokens(logp, row.chosen).mean()
        if row.row.kind == "preserve":
            fixed = _logp(untrained, row.chosen).detach()
            preserve.append((fixed.exp() * (fixed - logp)).sum(-1).mean() + nll)
        elif row.row.kind == "sft":
            main.append(recipe.alpha * nll)
        else:
            assert row.rejected is not None
            margin = _of_tokens(logp, row.chosen).sum() - _of_tokens(_logp(student, row.rejected), row.rejected).sum()
            for sequence, sign in ((row.chosen, -1), (row.rejected, 1)):
                margin = margin + sign * _of_tokens(_logp(untrained, sequence), sequence).sum().detach()
            dpo = -torch.log(torch.sigmoid(recipe.beta * margin))
            main.append(recipe.dpo_weight * dpo + recipe.chosen_nll_weight * nll)
            if row.plain is not None:
                pic.append(_divergence(logp, _logp(teacher, row.plain), recipe))
    loss = torch.stack(main).mean()
    loss = loss + recipe.pic_weight * torch.stack(pic).mean()
    return loss + recipe.preserve_weight * torch.stack(preserve).mean()


def _trainer(model: Any, untrained: Any, passes: PassDataset, folder: Path) -> PICLTrainer:
    return PICLTrainer(
        recipe=passes.recipe,
        head=output_head(model),
        frozen_head=output_head(untrained),
        dtype=torch.float32,
        model=model,
        args=TrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True),
        train_dataset=passes,
    )


def _move(model: Any, seed: int = 5) -> Any:
    """Training, as far as a loss can tell: the weights are no longer what they were."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                step = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter += 0.01 * step.to(parameter.dtype)
    return model


OTHERS = {
    "frozen teacher": {"teacher": "frozen", "beta": 0.5},
    "frozen teacher, truncated": {"teacher": "frozen", "kl_top_k": 5},
    "averaged teacher": {"teacher": "ema", "ema_decay": 0.6},
    "decision": {"pic_positions": "decision", "decision_tokens": 3},
    "decision, frozen": {"pic_positions": "decision", "decision_tokens": 2, "teacher": "frozen"},
    "decision, symmetric": {"pic_positions": "decision", "decision_tokens": 3, "divergence": "symmetric"},
}
RECIPES = {**{name: {"variant": name} for name in VARIANTS}, **OTHERS}


@pytest.mark.parametrize("parts", [1, 3, 7])
@pytest.mark.parametrize("settings", RECIPES.values(), ids=RECIPES)
def test_the_joint_loss_and_its_gradient(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path, settings: dict[str, Any], parts: int
) -> None:
    """Whatever forward passes a step is cut into, padding and chunks included."""
    recipe = PICLRecipe.model_validate(settings)
    encoded = _encode(tiny_llama, _rows(toy_rows))
    untrained, student, dense = _double(tiny_llama), _double(tiny_llama), _double(tiny_llama)
    frozen = frozen_rows(
        untrained, output_head(untrained), encoded, 0, torch.float32, frozen_pic=recipe.teacher == "frozen"
    )
    passes = PassDataset([list(range(len(encoded)))], parts, encoded, frozen, recipe, pad_id=0)
    assert len(passes) == parts
    trainer = _trainer(student, untrained, passes, tmp_path)
    _move(student)
    trainer.after_step()
    averaged = _double(tiny_llama)
    with torch.no_grad():
        for mean, moved in zip(averaged.parameters(), _move(dense).parameters(), strict=True):
            mean.mul_(recipe.ema_decay).add_(moved, alpha=1 - recipe.ema_decay)
    expected = _written_out(dense, untrained, averaged, encoded, recipe)
    expected.backward()
    loss = torch.stack([trainer.compute_loss(student, passes[i]) for i in range(parts)]).sum()
    loss.backward()
    # The reference log-probabilities travel in float32.
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(student.parameters(), dense.parameters(), strict=True):
        if theirs.grad is None:
            assert ours.grad is None or not ours.grad.any()
        else:
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def _with_dropout(path: Path) -> Any:
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(path)
    config = LoraConfig(r=4, lora_dropout=0.5, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    return get_peft_model(base, config).train()


@pytest.mark.parametrize("teacher", ["live", "ema"])
def test_the_teacher_sees_the_right_rows_without_persona_and_without_dropout(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path, teacher: str
) -> None:
    """Each position's state is that of its own row's persona-free context, run alone with the weights that teach."""
    encoded = _encode(tiny_llama, _rows(toy_rows))
    model = _with_dropout(tiny_llama)
    recipe = PICLRecipe.model_validate({"teacher": teacher, "ema_decay": 0.5})
    frozen = frozen_rows(model, output_head(model), encoded, 0, torch.float32, frozen_pic=False)
    passes = PassDataset([list(range(len(encoded)))], 1, encoded, frozen, recipe, pad_id=0)
    trainer = _trainer(model, model, passes, tmp_path)
    before = copy.deepcopy(model)
    _move(model)
    trainer.after_step()
    teaching = copy.deepcopy(model).eval()
    if teacher == "ema":
        with torch.no_grad():
            for new, old in zip(teaching.parameters(), before.parameters(), strict=True):
                new.copy_((new + old) / 2)
    own = [p.detach().clone() for p in model.parameters()]
    batch = passes[0]
    student = final_hidden(model, base_of(model), batch["input_ids"], batch["attention_mask"], batch["positions"])
    [(found, form), (kept, exact)] = trainer._teachers(batch)
    assert (form, exact) == (KL, KL)
    assert not found.hidden.requires_grad
    expected = []
    for row in (row for row in encoded if row.plain is not None):
        sequence = row.plain
        tokens = torch.tensor([sequence.prompt + sequence.response])
        where = torch.arange(len(sequence.prompt) - 1, tokens.shape[1] - 1)
        with torch.no_grad():
            expected.append(final_hidden(teaching, base_of(teaching), tokens, torch.ones_like(tokens), where))
    assert len(expected) == 2
    torch.testing.assert_close(found.hidden, torch.cat(expected), rtol=1e-4, atol=1e-5)
    # The rows to preserve get the untrained model's states, in their own order.
    assert torch.equal(
        kept.hidden,
        torch.cat(
            [
                f.hidden
                for f, r in zip(frozen, encoded, strict=True)
                if r.row.kind == "preserve" and f.hidden is not None
            ]
        ),
    )
    # And the student is as it was: its weights, its dropout, and the graph made before the teacher's pass.
    assert all(torch.equal(a, b) for a, b in zip(own, model.parameters(), strict=True))
    assert all(module.training for module in model.modules())
    student.sum().backward()


def test_the_symmetric_teacher_is_the_student_in_its_own_mode(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    """Dropout is at work in its persona-free pass too: the same loss twice differs, in evaluation mode it does not."""
    encoded = _encode(tiny_llama, [row for row in toy_rows if row.kind == "preference"][:2])
    model = _with_dropout(tiny_llama)
    recipe = PICLRecipe.model_validate({"variant": "symmetric-kl", "dpo_weight": 0.0})
    frozen = frozen_rows(model, output_head(model), encoded, 0, torch.float32, frozen_pic=False)
    passes = PassDataset([[0, 1]], 1, encoded, frozen, recipe, pad_id=0)
    trainer = _trainer(model, model, passes, tmp_path)
    assert trainer._teachers(passes[0]) == []
    batch = passes[0]

    def states() -> Tensor:
        return final_hidden(model, base_of(model), batch["input_ids"], batch["attention_mask"], batch["positions"])

    scored = len(batch["targets"])
    plain, again = states()[scored:], states()[scored:]
    assert plain.requires_grad
    assert not torch.equal(plain, again)
    model.eval()
    assert torch.equal(states()[scored:], states()[scored:])


def test_no_dropout_and_no_gradient_in_the_teacher(tiny_llama: Path, toy_rows: list[Row]) -> None:
    model = _with_dropout(tiny_llama)
    base = base_of(model)
    [row] = _encode(tiny_llama, [r for r in toy_rows if r.kind == "preference"][:1])
    tokens = torch.tensor([row.chosen.prompt + row.chosen.response])
    where = torch.arange(tokens.shape[1])

    def states() -> Tensor:
        return final_hidden(model, base, tokens, torch.ones_like(tokens), where)

    model.eval()
    with torch.no_grad():
        expected = states()
    model.train()
    model.base_model.model.lm_head.eval()  # a module that someone has set by hand
    assert not torch.equal(states(), states()), "dropout must be at work in the student for this test to mean anything"
    with without_dropout(model, torch.float32):
        teacher = states()
    assert torch.equal(teacher, expected)
    assert not teacher.requires_grad
    assert model.training
    assert not model.base_model.model.lm_head.training
    assert states().requires_grad


def test_the_untrained_model_is_the_one_without_its_adapter(tiny_llama: Path, toy_rows: list[Row]) -> None:
    torch.manual_seed(0)
    base = AutoModelForCausalLM.from_pretrained(tiny_llama)
    encoded = _encode(tiny_llama, _rows(toy_rows))
    expected = frozen_rows(base, output_head(base), encoded, 0, torch.float32, frozen_pic=True)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj"], init_lora_weights=False))
    found = frozen_rows(adapted, output_head(adapted), encoded, 0, torch.float32, frozen_pic=True)
    for a, b in zip(expected, found, strict=True):
        assert (a.chosen, a.rejected) == (pytest.approx(b.chosen, abs=1e-4), pytest.approx(b.rejected, abs=1e-4))
        assert (a.hidden is None) == (b.hidden is None)
        if a.hidden is not None and b.hidden is not None:
            torch.testing.assert_close(a.hidden, b.hidden)


@pytest.mark.parametrize("name", ["tiny_llama", "tiny_qwen2", "tiny_gemma"])
def test_heads_of_the_usual_architectures(name: str, request: pytest.FixtureRequest) -> None:
    output_head(AutoModelForCausalLM.from_pretrained(request.getfixturevalue(name)))


def test_a_head_that_does_more_than_is_known_is_refused(tiny_llama: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    model.lm_head.register_forward_hook(lambda _m, _a, output: 2 * output)
    with pytest.raises(ModelError, match="output head"):
        output_head(model)


def test_gemma2_caps_its_logits() -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, final_logit_softcapping=0.05,
    )  # fmt: skip
    head = output_head(Gemma2ForCausalLM(config))
    assert head.softcap == 0.05
    assert head.logits(100 * torch.randn(3, 16)).abs().max() <= 0.05
