"""Losses against closed forms, dense float64 computations and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from personaproof.harden.chunked import _Side, chunk_positions, terms_from_hidden
from personaproof.harden.divergence import KL, SYMMETRIC, Divergence
from personaproof.harden.head import OutputHead, Teacher
from personaproof.harden.losses import (
    dpo_loss,
    sequence_mean,
    sequence_nll,
    sequence_sum,
    token_logprobs,
    token_logprobs_and_kl,
    unilateral_kl,
)

N, WIDTH, VOCABULARY = 13, 6, 17


def _states(dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Student states, teacher states, head weight, teacher head weight, targets."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    targets = torch.randint(0, VOCABULARY, (N,), generator=generator)
    return draw(N, WIDTH), draw(N, WIDTH), draw(VOCABULARY, WIDTH), draw(VOCABULARY, WIDTH), targets


OWNER = torch.tensor([0] * 4 + [1] * 1 + [3] * 8)


def _dense_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """sum_v t log(t / s), from logits, spelt out."""
    p = torch.softmax(teacher, -1)
    return (p * (torch.log_softmax(teacher, -1) - torch.log_softmax(student, -1))).sum(-1)


def _dense(form: Divergence, student: Tensor, teacher: Tensor) -> Tensor:
    """Each form of divergence, (N,), from logits, by the formula of its docstring and autograd's own derivatives."""
    if form.symmetric:
        return (_dense_kl(student, teacher) + _dense_kl(teacher, student)) / 2
    teacher = teacher.detach()
    if form.top_k is None:
        return _dense_kl(student, teacher)
    p, q = torch.softmax(teacher, -1), torch.softmax(student, -1)
    keep = torch.zeros_like(p, dtype=torch.bool).scatter(-1, p.topk(form.top_k).indices, True)
    return torch.where(keep, p * (p / q).log(), 0.0).sum(-1)


FORMS = {"kl": KL, "symmetric": SYMMETRIC, "top 3": Divergence(top_k=3), "top 1": Divergence(top_k=1)}
HEADS = {
    "plain": {},
    "bias": {"bias": True},
    "scaled": {"scale": 0.7},
    "capped": {"bias": True, "scale": 0.7, "softcap": 3.0},
}


def _head(weight: Tensor, settings_: dict[str, float], seed: int) -> OutputHead:
    bias = torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(weight.dtype)
    settings_ = dict(settings_)
    return OutputHead(
        weight, bias.requires_grad_(weight.requires_grad) if settings_.pop("bias", 0) else None, **settings_
    )


@pytest.mark.parametrize("trained", [False, True], ids=["frozen head", "trained head"])
@pytest.mark.parametrize("settings_", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("chunk", "dtype", "tolerance"),
    [(1, torch.float64, 1e-12), (4, torch.float64, 1e-12), (100, torch.float64, 1e-12), (4, torch.float32, 1e-4)],
)
def test_values_and_gradients_equal_a_dense_float64_computation(
    chunk: int, dtype: torch.dtype, tolerance: float, form: Divergence, settings_: dict[str, float], trained: bool
) -> None:
    """Of hidden states and, where it is trained, of the head; of both sides where the form is symmetric."""
    parts = _states()
    targets = parts[4]
    mix = torch.linspace(-1, 2, N, dtype=torch.float64)
    weighed: list[list[Tensor]] = []
    for dense in (True, False):
        leaves = [t.clone().to(torch.float64 if dense else dtype) for t in parts[:4]]
        for leaf in leaves[: 4 if trained else 2]:
            leaf.requires_grad_()
        student, teacher, weight, teacher_weight = leaves
        head, teacher_head = _head(weight, settings_, 1), _head(teacher_weight, settings_, 2)
        if dense:
            logits = head.logits(student)
            kl = _dense(form, logits, teacher_head.logits(teacher))
            lp = torch.log_softmax(logits, -1)[torch.arange(N), targets]
        else:
            lp, kl = token_logprobs_and_kl(student, head, targets, Teacher(teacher, teacher_head), form, chunk=chunk)
            assert lp.dtype == kl.dtype == dtype
        (kl * mix.to(kl.dtype) + lp * mix.flip(0).to(kl.dtype)).sum().backward()
        tensors = [*leaves, head.bias, teacher_head.bias]
        weighed.append([lp, kl, *(t.new_zeros(()) if t.grad is None else t.grad for t in tensors if t is not None)])
    for expected, ours in zip(*weighed, strict=True):
        torch.testing.assert_close(ours.double(), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("trained", [False, True], ids=["frozen head", "trained head"])
def test_log_probabilities_alone(trained: bool) -> None:
    student, _, weight, _, targets = _states()
    found = []
    for dense in (True, False):
        h, w = student.clone().requires_grad_(), weight.clone().requires_grad_(trained)
        head = OutputHead(w, softcap=3.0)
        lp = (
            torch.log_softmax(head.logits(h), -1)[torch.arange(N), targets]
            if dense
            else token_logprobs(h, head, targets, chunk=4)
        )
        (lp * torch.linspace(-1, 2, N, dtype=torch.float64)).sum().backward()
        found.append([lp.detach(), h.grad, *([w.grad] if trained else [])])
        assert trained or w.grad is None
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=1e-12)


def test_a_truncated_divergence_can_be_negative_and_rewards_more_than_agreement() -> None:
    """Teacher (0.4, 0.3, 0.3), its top token alone: a student that gives that token 0.9 is told it is better than one
    that agrees. The exact form is positive there."""
    one = OutputHead(torch.eye(3, dtype=torch.float64))
    teacher = Teacher(torch.tensor([[0.4, 0.3, 0.3]], dtype=torch.float64).log(), one)
    student = torch.tensor([[0.9, 0.05, 0.05]], dtype=torch.float64).log()
    token = torch.tensor([0])
    _, truncated = token_logprobs_and_kl(student, one, token, teacher, Divergence(top_k=1))
    assert truncated.item() == pytest.approx(0.4 * math.log(0.4 / 0.9), abs=1e-12)
    assert truncated.item() < 0
    agreeing = teacher.hidden.clone().requires_grad_()
    _, at_agreement = token_logprobs_and_kl(agreeing, one, token, teacher, Divergence(top_k=1))
    at_agreement.sum().backward()
    assert at_agreement.item() == pytest.approx(0.0, abs=1e-12)
    torch.testing.assert_close(agreeing.grad, torch.tensor([[0.4 * 0.4 - 0.4, 0.4 * 0.3, 0.4 * 0.3]]).double())
    _, exact = token_logprobs_and_kl(student, one, token, teacher)
    assert exact.item() > 0.1


def test_the_whole_vocabulary_as_top_k_is_the_exact_form() -> None:
    student, teacher, weight, teacher_weight, targets = _states()
    exact, truncated = (
        token_logprobs_and_kl(student, OutputHead(weight), targets, Teacher(teacher, OutputHead(teacher_weight)), form)
        for form in (KL, Divergence(top_k=10 * VOCABULARY))
    )
    torch.testing.assert_close(exact, truncated, rtol=0, atol=1e-12)


def test_forms_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="symmetric"):
        Divergence(symmetric=True, top_k=3)
    with pytest.raises(ValueError, match="at least 1"):
        Divergence(top_k=0)
    student, teacher, weight, _, targets = _states()
    with pytest.raises(ValueError, match="13 positions cannot be taught by 12"):
        token_logprobs_and_kl(student, OutputHead(weight), targets, Teacher(teacher[1:], OutputHead(weight)))


def test_the_divergence_is_from_teacher_to_student_and_not_back() -> None:
    """Closed form on two tokens: teacher (3/4, 1/4), student (1/2, 1/2)."""
    one = OutputHead(torch.eye(2, dtype=torch.float64))
    teacher = torch.tensor([[math.log(3.0), 0.0]], dtype=torch.float64)
    student = torch.zeros(1, 2, dtype=torch.float64)
    owner = torch.tensor([0])
    forward = unilateral_kl(student, one, Teacher(teacher, one), owner, 1)
    backward = unilateral_kl(teacher, one, Teacher(student, one), owner, 1)
    assert forward.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-12)
    assert backward.item() == pytest.approx(0.5 * math.log(2 / 3) + 0.5 * math.log(2), abs=1e-12)
    assert abs(forward.item() - backward.item()) > 0.01


def test_the_gradient_pulls_the_student_to_the_teacher_and_never_reaches_the_teacher() -> None:
    student, teacher, weight, teacher_weight, _ = _states()
    leaves = [t.requires_grad_() for t in (student, teacher, weight, teacher_weight)]
    head, teacher_head = OutputHead(weight), OutputHead(teacher_weight)
    unilateral_kl(student, head, Teacher(teacher, teacher_head), OWNER, 4).sum().backward()
    assert leaves[0].grad is not None
    assert leaves[2].grad is not None
    assert leaves[1].grad is None
    assert leaves[3].grad is None
    # d KL(t || s) / d logits is s - t: closed form of the direction.
    difference = torch.softmax(student @ weight.T, -1) - torch.softmax(teacher @ teacher_weight.T, -1)
    counts = torch.tensor([4.0, 1.0, 0.0, 8.0], dtype=torch.float64)[OWNER]
    torch.testing.assert_close(student.grad, (difference @ weight / counts[:, None]).detach(), rtol=0, atol=1e-12)


def test_a_shared_head_learns_from_the_student_side_alone() -> None:
    """The live teacher uses the student's own head, which must not be moved by the teacher's half."""
    student, teacher, weight, _, _ = _states()
    shared = weight.clone().requires_grad_()
    unilateral_kl(student, OutputHead(shared), Teacher(teacher, OutputHead(shared)), OWNER, 4).sum().backward()
    split = weight.clone().requires_grad_()
    unilateral_kl(student, OutputHead(split), Teacher(teacher, OutputHead(weight)), OWNER, 4).sum().backward()
    torch.testing.assert_close(shared.grad, split.grad, rtol=0, atol=0)


@pytest.mark.parametrize("form", [KL, SYMMETRIC], ids=["kl", "symmetric"])
def test_gradients_by_finite_differences_through_chunks(form: Divergence) -> None:
    """Of the student and of a trained head that both sides share, as in full fine-tuning."""
    student, teacher, weight, teacher_weight, targets = _states()

    def total(h: Tensor, w: Tensor, t: Tensor) -> Tensor:
        live = Teacher(t, OutputHead(w if form.symmetric else teacher_weight, softcap=3.0))
        lp, kl = token_logprobs_and_kl(h, OutputHead(w, scale=0.7, softcap=3.0), targets, live, form, chunk=5)
        return sequence_sum(lp, OWNER, 4) + sequence_mean(kl, OWNER, 4)

    leaves = (student.requires_grad_(), weight.requires_grad_(), teacher.requires_grad_(form.symmetric))
    assert torch.autograd.gradcheck(total, leaves)


@settings(deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0.0, 30.0))
def test_the_divergence_is_never_negative_and_zero_only_on_agreement(seed: int, spread: float) -> None:
    student, teacher, weight, _, _ = _states(torch.float32, seed)
    head = OutputHead(weight * spread)
    kl = unilateral_kl(student, head, Teacher(teacher, head), OWNER, 4)
    assert (kl >= -1e-5).all()
    same = unilateral_kl(student, head, Teacher(student, head), OWNER, 4)
    assert (same.abs() <= 1e-5).all()


@pytest.mark.parametrize("trained", [False, True], ids=["frozen head", "trained head"])
def test_nothing_of_the_vocabularys_size_outlives_its_chunk(monkeypatch: pytest.MonkeyPatch, trained: bool) -> None:
    """Logits are made three positions at a time; what the backward pass keeps is as narrow as the hidden states."""
    made: list[int] = []
    plain = _Side.log_softmax

    def spy(self: _Side, hidden: Tensor, product: Tensor, spare: Tensor, out: Tensor) -> Tensor:
        made.append(max(product.numel(), spare.numel(), out.numel()))
        return plain(self, hidden, product, spare, out)

    monkeypatch.setattr(_Side, "log_softmax", spy)
    student, teacher, weight, _, targets = _states()
    student.requires_grad_()
    weight.requires_grad_(trained)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        lp, kl = token_logprobs_and_kl(
            student, OutputHead(weight), targets, Teacher(teacher, OutputHead(weight)), chunk=3
        )
    (lp + kl).sum().backward()
    assert max(made) == 3 * VOCABULARY
    # Five chunks, student and teacher; again in the backward pass only where the head needs a gradient too.
    assert len(made) == 5 * 2 * (2 if trained else 1)
    weights = {weight.data_ptr()}
    assert all(t.numel() <= N * WIDTH for t in kept if t.data_ptr() not in weights)


def test_a_chunk_shrinks_as_the_vocabulary_grows() -> None:
    assert chunk_positions(OutputHead(torch.empty(32_768, 1))) == 128
    assert chunk_positions(OutputHead(torch.empty(1 << 20, 1))) == 128
    assert chunk_positions(OutputHead(torch.empty(32_768, 1, device="meta"))) == 1024


def test_autocast_decides_the_type_of_the_products() -> None:
    """Full fine-tuning holds the head in float32 and multiplies in bfloat16; the head's gradient stays float32."""
    student, teacher, weight, _, targets = _states(torch.float32)
    h, w = student.requires_grad_(), weight.requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lp, kl = token_logprobs_and_kl(h, OutputHead(w), targets, Teacher(teacher, OutputHead(w)))
    (lp + kl).sum().backward()
    exact = torch.log_softmax((student.bfloat16() @ weight.bfloat16().T).float(), -1)[torch.arange(N), targets]
    torch.testing.assert_close(lp, exact, rtol=0, atol=1e-5)
    assert h.grad is not None
    assert w.grad is not None
    assert h.grad.dtype == w.grad.dtype == torch.float32


def test_a_sure_student_keeps_its_small_gradient_in_bfloat16() -> None:
    """1 - s_target is 1e-3 here, which is lost where s itself is rounded to eight bits."""
    weight = torch.eye(2, dtype=torch.bfloat16)
    hidden = torch.tensor([[7.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    token_logprobs(hidden, OutputHead(weight), torch.tensor([0])).sum().backward()
    assert hidden.grad is not None
    expected = torch.tensor([[1.0, -1.0]]) / (1 + math.exp(7.0))
    torch.testing.assert_close(hidden.grad.float(), expected, rtol=0.01, atol=0)


def test_nothing_is_prepared_where_no_gradient_is_wanted() -> None:
    student, teacher, weight, _, targets = _states()
    with torch.no_grad():
        lp, kl = terms_from_hidden(
            student.requires_grad_(), OutputHead(weight.requires_grad_()), targets, Teacher(teacher, OutputHead(weight))
        )
    assert not lp.requires_grad
    assert not kl.requires_grad


def test_bfloat16_states_are_reduced_in_float32() -> None:
    student, teacher, weight, _, targets = _states(torch.bfloat16)
    lp, kl = token_logprobs_and_kl(student, OutputHead(weight), targets, Teacher(teacher, OutputHead(weight)))
    assert lp.dtype == kl.dtype == torch.float32
    exact = torch.log_softmax((student @ weight.T).double(), -1)[torch.arange(N), targets]
    torch.testing.assert_close(lp.double(), exact, rtol=0, atol=1e-5)


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-50, 0), min_size=4, max_size=4),
    beta=st.floats(0.01, 2.0),
)
def test_dpo_closed_form_and_antisymmetry(values: list[float], beta: float) -> None:
    """Rafailov et al. 2023, equation 7, written out; swapping chosen and rejected flips the margin's sign."""
    c, r, rc, rr = (torch.tensor([v], dtype=torch.float64) for v in values)
    margin = beta * ((values[0] - values[2]) - (values[1] - values[3]))
    assert dpo_loss(c, r, rc, rr, beta).item() == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-9, abs=1e-12)
    assert dpo_loss(r, c, rr, rc, beta).item() == pytest.approx(math.log1p(math.exp(margin)), rel=1e-9, abs=1e-12)


def test_dpo_of_the_reference_itself_is_log_two_with_gradient_minus_half_beta() -> None:
    chosen = torch.tensor([-3.0], dtype=torch.float64, requires_grad=True)
    rejected = torch.tensor([-9.0], dtype=torch.float64, requires_grad=True)
    loss = dpo_loss(chosen, rejected, chosen.detach(), rejected.detach(), 0.1)
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(2))
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert (chosen.grad.item(), rejected.grad.item()) == (pytest.approx(-0.05), pytest.approx(0.05))


def test_sequence_reductions() -> None:
    values = torch.arange(13, dtype=torch.float64)
    assert sequence_sum(values, OWNER, 4).tolist() == [6, 4, 0, 68]
    assert sequence_mean(values, OWNER, 4).tolist() == [1.5, 4, 0, 8.5]
    assert sequence_nll(-values, OWNER, 4).tolist() == [1.5, 4, 0, 8.5]


def test_no_positions_give_no_values() -> None:
    head = OutputHead(torch.randn(VOCABULARY, WIDTH))
    none = torch.zeros(0, WIDTH)
    assert token_logprobs(none, head, torch.zeros(0, dtype=torch.long)).shape == (0,)
    lp, kl = token_logprobs_and_kl(none, head, torch.zeros(0, dtype=torch.long), Teacher(none, head))
    assert lp.shape == kl.shape == (0,)
