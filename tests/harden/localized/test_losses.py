"""The divergence over safety tokens: closed forms, optima, gradients, and parity with float64 through the chunks."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from personaproof.harden.head import OutputHead, Teacher
from personaproof.harden.localized.losses import TokenDivergence
from personaproof.harden.losses import token_logprobs_and_kl

S = (1, 4, 6)
PARTIAL, PROPER = TokenDivergence(tokens=S), TokenDivergence(tokens=S, proper=True)


def evaluate(form: TokenDivergence, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Value (N,) and gradient with respect to the student's logits, from probabilities or logits' log-softmax."""
    log_s, log_t = student.clone(), teacher.clone()
    found = form.form(log_s, log_t, torch.empty_like(log_s), True)
    assert found.to_student is not None
    return found.value, found.to_student


def by_autograd(student: Tensor, teacher: Tensor, proper: bool, tokens: tuple[int, ...] = S) -> tuple[Tensor, Tensor]:
    """The formulas as the papers write them, on logits."""
    logits = student.clone().requires_grad_()
    p, q = logits.softmax(-1), teacher.softmax(-1)
    chosen = list(tokens)
    value = (p[:, chosen] * (p[:, chosen].log() - q[:, chosen].log())).sum(-1)
    if proper:
        inside, teachers = p[:, chosen].sum(-1), q[:, chosen].sum(-1)
        value = value + (1 - inside) * ((1 - inside) / (1 - teachers)).log()
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    return value.detach(), gradient


def random_logits(seed: int, spread: float) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one, other = torch.randn(2, 3, 9, generator=generator, dtype=torch.float64) * spread
    return one, other


@given(st.integers(0, 2**31), st.floats(0.1, 4), st.booleans())
def test_values_and_gradients_match_the_formulas(seed: int, spread: float, proper: bool) -> None:
    student, teacher = random_logits(seed, spread)
    form = PROPER if proper else PARTIAL
    value, gradient = evaluate(form, student.log_softmax(-1), teacher.log_softmax(-1))
    expected, slope = by_autograd(student, teacher, proper)
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, slope)


def test_two_tokens_by_hand() -> None:
    """S is one token of two: p = 1/4, q = 1/2."""
    student, teacher = torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.5]]).log()
    partial, _ = evaluate(TokenDivergence(tokens=(0,)), student, teacher)
    proper, _ = evaluate(TokenDivergence(tokens=(0,), proper=True), student, teacher)
    assert float(partial) == pytest.approx(-0.25 * math.log(2))
    assert float(proper) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))


@given(st.integers(0, 2**31), st.floats(0.1, 4))
def test_the_published_sum_is_least_at_the_teacher_over_e_and_negative_there(seed: int, spread: float) -> None:
    student, teacher = random_logits(seed, spread)
    q = teacher.softmax(-1)
    best = q.clone()
    best[:, list(S)] = q[:, list(S)] / math.e
    rest = [token for token in range(9) if token not in S]
    best[:, rest] *= (1 - best[:, list(S)].sum(-1, keepdim=True)) / best[:, rest].sum(-1, keepdim=True)
    value, gradient = evaluate(PARTIAL, best.log(), q.log())
    torch.testing.assert_close(value, -q[:, list(S)].sum(-1) / math.e)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    anywhere, _ = evaluate(PARTIAL, student.log_softmax(-1), q.log())
    assert (anywhere >= value - 1e-12).all()
    # A student that agrees with its teacher is pushed to say the safety tokens less.
    matched, away = evaluate(PARTIAL, q.log(), q.log())
    torch.testing.assert_close(matched, torch.zeros_like(matched))
    assert (away[:, list(S)] > 0).all()


@given(st.integers(0, 2**31), st.floats(0.1, 30))
def test_the_proper_form_is_a_divergence(seed: int, spread: float) -> None:
    student, teacher = random_logits(seed, spread)
    value, _ = evaluate(PROPER, student.log_softmax(-1), teacher.log_softmax(-1))
    assert (value >= -1e-12).all()
    # The same on S and a different rest: nothing to say.
    q = teacher.softmax(-1)
    rest = [token for token in range(9) if token not in S]
    other = q.clone()
    other[:, rest] = q[:, rest].flip(-1)
    same, gradient = evaluate(PROPER, other.log(), q.log())
    torch.testing.assert_close(same, torch.zeros_like(same), rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)
    if float((student.softmax(-1) - q)[:, list(S)].abs().max()) > 0.1:
        assert float(value.max()) > 1e-3


def test_mass_that_rounds_to_one_keeps_its_value() -> None:
    """S has all but e^-60 of the student: 1 - s(S) would be 0 in any precision."""
    student, teacher = torch.zeros(1, 9), torch.zeros(1, 9)
    student[:, 1] = 60.0
    value, gradient = evaluate(PROPER, student.log_softmax(-1), teacher.log_softmax(-1))
    assert float(value) == pytest.approx(math.log(9), rel=1e-5)
    assert torch.isfinite(gradient).all()


def test_all_tokens_give_the_whole_divergence() -> None:
    student, teacher = random_logits(3, 2.0)
    everything = TokenDivergence(tokens=tuple(range(9)), proper=True)
    value, gradient = evaluate(everything, student.log_softmax(-1), teacher.log_softmax(-1))
    expected, slope = by_autograd(student, teacher, False, tuple(range(9)))
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(gradient, slope)


@pytest.mark.parametrize("proper", [False, True])
@pytest.mark.parametrize("trains", [False, True], ids=["frozen head", "trained head"])
def test_through_the_head_in_chunks(proper: bool, trains: bool) -> None:
    generator = torch.Generator().manual_seed(5)

    def make(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hidden, taught = make(7, 4).requires_grad_(), make(7, 4)
    weight, frozen = make(9, 4).requires_grad_(trains), make(9, 4)
    form = PROPER if proper else PARTIAL
    teacher = Teacher(taught, OutputHead(frozen, softcap=3.0))
    head = OutputHead(weight, softcap=3.0)
    _, value = token_logprobs_and_kl(hidden, head, torch.zeros(7, dtype=torch.long), teacher, form, chunk=3)
    weights = make(7)
    wanted = [hidden, weight] if trains else [hidden]
    found = torch.autograd.grad((value * weights).sum(), wanted)

    logits = 3 * torch.tanh(hidden @ weight.T / 3)
    expected, slope = by_autograd(logits.detach(), 3 * torch.tanh(taught @ frozen.T / 3), proper)
    torch.testing.assert_close(value.detach(), expected)
    direct = torch.autograd.grad((logits * slope * weights[:, None]).sum(), wanted)
    for one, other in zip(found, direct, strict=True):
        torch.testing.assert_close(one, other)


@given(st.integers(0, 2**31), st.booleans())
def test_float32_agrees_with_float64(seed: int, proper: bool) -> None:
    student, teacher = random_logits(seed, 5.0)
    form = PROPER if proper else PARTIAL
    wide = evaluate(form, student.log_softmax(-1), teacher.log_softmax(-1))
    short = evaluate(form, student.float().log_softmax(-1), teacher.float().log_softmax(-1))
    for one, other in zip(wide, short, strict=True):
        torch.testing.assert_close(one.float(), other, rtol=1e-4, atol=1e-5)


def test_what_is_no_set_of_tokens_is_refused() -> None:
    for tokens in ((), (1, 1)):
        with pytest.raises(ValueError, match="at least one, each once"):
            TokenDivergence(tokens=tokens)
    with pytest.raises(ValueError, match="neither symmetric"):
        TokenDivergence(symmetric=True, tokens=(1,))
