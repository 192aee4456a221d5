"""The auxiliary losses against closed forms and against loops over groups."""

import math
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from personaproof.harden.air.invariance import (
    Rollouts,
    anchor_means,
    auxiliary_loss,
    gaps,
    prompt_means,
    rollout_weights,
)

NAN = math.nan


def rollouts(rewards: list[list[list[float]]], anchors: int = 1, seed: int | None = None) -> Rollouts:
    """``rewards[group][prompt][k]``; the first `anchors` prompts of a group are its anchors. Shuffled by `seed`."""
    rows, prompt = [], 0
    for group, prompts in enumerate(rewards):
        for place, marks in enumerate(prompts):
            rows += [(mark, prompt, group, place < anchors) for mark in marks]
            prompt += 1
    if seed is not None:
        random.Random(seed).shuffle(rows)
    marks, prompts_, groups, roles = zip(*rows, strict=True)
    return Rollouts(
        torch.tensor(marks, dtype=torch.float64), torch.tensor(prompts_), torch.tensor(groups), torch.tensor(roles)
    )


def test_an_open_prompt_is_held_to_its_own_groups_anchors() -> None:
    some = rollouts([[[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]]])
    assert anchor_means(some).tolist() == [0.5, 0.0]
    assert gaps(some, "air").tolist() == [0, -0.5, 0.5, 0, -0.5, 0]
    assert gaps(some, "none").tolist() == [0] * 6


def test_several_anchors_count_by_their_means_and_not_by_their_rollouts() -> None:
    some = rollouts([[[1.0, 1.0, 1.0, NAN], [0.0, NAN, NAN, NAN], [0.0, 0.0, 0.0, 0.0]]], anchors=2)
    assert anchor_means(some).tolist() == [0.5]
    assert gaps(some, "air").tolist() == [0, 0, 0.5]


def test_what_was_not_judged_has_no_say_and_no_weight() -> None:
    some = rollouts([[[1.0, NAN], [0.0, NAN], [NAN, NAN]], [[NAN, NAN], [1.0, 0.0], [1.0, 1.0]]])
    assert gaps(some, "air").tolist() == [0, 1.0, 0, 0, 0, 0]  # the second group has no anchor that was judged
    weights = rollout_weights(some, "air")
    assert torch.isfinite(weights).all()
    assert weights[some.rewards.isnan()].tolist() == [0] * int(some.rewards.isnan().sum())


@given(
    st.lists(
        st.lists(st.lists(st.sampled_from([-1.0, 1.25, 2.5, NAN]), min_size=3, max_size=3), min_size=4, max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.integers(1, 3),
    st.integers(0, 9),
    st.sampled_from(["air", "vrex"]),
)
def test_weights_equal_a_loop_over_groups(
    rewards: list[list[list[float]]], anchors: int, seed: int, regulariser: str
) -> None:
    """Whatever the order of the rows, and whatever could not be judged."""
    some = rollouts(rewards, anchors, seed)
    total = sum(
        not math.isnan(mark)
        for prompts in rewards
        for place, marks in enumerate(prompts)
        for mark in marks
        if regulariser == "vrex" or place >= anchors
    )
    expected = {}
    number = 0
    for prompts in rewards:
        means = [_mean(marks) for marks in prompts]
        target = _mean(means[:anchors] if regulariser == "air" else means)
        for place in range(4):
            delta = target - means[place]
            if regulariser == "vrex":
                delta *= 2
            elif place < anchors:
                delta = 0
            expected[number] = 0.0 if math.isnan(delta) else delta / max(1, total)
            number += 1
    weights = rollout_weights(some, regulariser)  # type: ignore[arg-type]
    for weight, mark, prompt in zip(weights.tolist(), some.rewards.tolist(), some.prompt.tolist(), strict=True):
        assert weight == pytest.approx(0.0 if math.isnan(mark) else expected[prompt] * mark)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else NAN


@pytest.mark.parametrize("logit", [-1.3, 0.0, 2.0])
def test_gradient_on_a_policy_of_two_tokens(logit: float) -> None:
    """One open prompt, answered "right" (1.25) with probability p or "wrong" (-1), against an anchor that is always
    right. In expectation over rollouts J's gradient is -Delta dr_s/dlogit, with r_s = 1.25 p - (1 - p)."""
    theta = torch.tensor(logit, dtype=torch.float64, requires_grad=True)
    logprobs = torch.stack([torch.nn.functional.logsigmoid(theta), torch.nn.functional.logsigmoid(-theta)])
    p = torch.sigmoid(theta.detach()).item()
    count = 100_000
    right = round(p * count)
    tokens = torch.tensor([0] * right + [1] * (count - right))
    marks = [1.25] * right + [-1.0] * (count - right)
    some = rollouts([[[1.25] * 2, marks]])
    weights = rollout_weights(some, "air")
    assert weights[:2].tolist() == [0, 0]
    loss = auxiliary_loss(logprobs[tokens][:, None], torch.ones(count, 1), weights[2:])
    (gradient,) = torch.autograd.grad(loss, theta)
    reward = 1.25 * p - (1 - p)
    assert gradient.item() == pytest.approx(-(1.25 - reward) * 2.25 * p * (1 - p), rel=1e-3, abs=1e-6)
    assert gradient.item() < 0  # descending it makes the right answer likelier


def test_vrex_gradient_is_that_of_the_variance() -> None:
    """Two prompts with a Bernoulli policy each: in expectation J's gradient is that of the variance of their means."""
    thetas = torch.tensor([0.4, -1.1], dtype=torch.float64, requires_grad=True)
    count = 200_000
    shares = [round(torch.sigmoid(theta).item() * count) for theta in thetas.detach()]
    some = rollouts([[[1.0] * share + [0.0] * (count - share) for share in shares]])
    weights = rollout_weights(some, "vrex")
    logprobs = torch.cat(
        [
            torch.where(
                torch.arange(count) < share,
                torch.nn.functional.logsigmoid(theta),
                torch.nn.functional.logsigmoid(-theta),
            )
            for share, theta in zip(shares, thetas, strict=True)
        ]
    )
    (gradient,) = torch.autograd.grad(auxiliary_loss(logprobs[:, None], torch.ones(2 * count, 1), weights), thetas)
    means = torch.sigmoid(thetas)
    (expected,) = torch.autograd.grad(means.var(correction=0), thetas)
    assert torch.allclose(gradient, expected, rtol=1e-3, atol=1e-6)


def test_padding_has_no_part_in_the_sum() -> None:
    logprobs = torch.tensor([[-1.0, -2.0, -100.0], [-0.5, -100.0, -100.0]], requires_grad=True)
    mask = torch.tensor([[1, 1, 0], [1, 0, 0]])
    loss = auxiliary_loss(logprobs, mask, torch.tensor([2.0, -4.0]))
    assert loss.item() == pytest.approx(2 * 3 - 4 * 0.5)
    (gradient,) = torch.autograd.grad(loss, logprobs)
    assert gradient.tolist() == [[-2, -2, 0], [4, 0, 0]]


def test_prompt_means_leave_out_what_was_not_judged() -> None:
    assert prompt_means(rollouts([[[1.0, NAN], [0.0, 1.0]]])).tolist() == [1.0, 0.5]
