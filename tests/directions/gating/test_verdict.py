"""The rule, on made-up numbers: every answer it can give, and what keeps it from giving another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaproof.directions.gating import Arm, Contrast, Evidence, Moved, Thresholds, judge_gate
from personaproof.stats import NO_DATA, Estimate, PairedDifference, wilson

RULE = Thresholds()


def difference(value: float, half: float = 0.06, p: float | None = None) -> PairedDifference:
    estimate = Estimate(value, max(-1.0, value - half), min(1.0, value + half), 64)
    return PairedDifference(estimate, (0.001 if abs(value) > half else 0.6) if p is None else p, 0, 0)


READ = Arm("read", wilson(2, 128), wilson(1, 128))
NOISY = Arm("noisy", wilson(60, 128), wilson(1, 128))
UNTOLD = Arm("untold", wilson(2, 128), wilson(60, 128))
EMPTY = Arm("empty", NO_DATA, NO_DATA)


def contrast(
    name: str,
    value: float,
    *,
    least_single: float | None = None,
    unsteered: float | None = None,
    refusal: float | None = None,
    arms: tuple[Arm, ...] = (READ,),
    **kwargs: float,
) -> Contrast:
    single = value if least_single is None else least_single
    return Contrast(
        name,
        name,
        Moved(difference(value, **kwargs), difference(value if unsteered is None else unsteered)),
        (value, value, single, value, value),
        Moved(difference(value), difference(value if refusal is None else refusal)),
        arms,
    )


def evidence(
    plain: float, neutral: float, undo: float, told: float, *, arms: tuple[Arm, ...] = (READ,), **changes: Any
) -> Evidence:
    values = {"push.plain": plain, "push.neutral": neutral, "undo": undo}
    return Evidence(
        contrasts=tuple(contrast(name, value, arms=arms, **changes) for name, value in values.items()),
        told=difference(told).difference,
        told_arms=(READ,),
        elsewhere={},
        refused=wilson(120, 128),
        push=0.6,
    )


@pytest.mark.parametrize(
    ("largest", "strength"), [(0.12, "weak"), (0.2, "moderate"), (0.49, "moderate"), (0.5, "strong")]
)
def test_one_effect_is_a_gate_and_the_largest_gives_its_strength(largest: float, strength: str) -> None:
    found = judge_gate(evidence(0.0, largest, 0.0, 0.3), RULE)
    assert (found.answer, found.strength, found.carried) == ("gates", strength, ("push.neutral",))
    found = judge_gate(evidence(0.11, 0.0, largest, 0.0), RULE)
    assert found.carried == ("push.plain", "undo")
    assert found.strength == strength


def test_no_effect_anywhere_is_no_gating() -> None:
    found = judge_gate(evidence(0.0, 0.01, -0.02, 0.03), RULE)
    assert (found.answer, found.strength, found.carried) == ("no gating", "", ())
    assert len(found.reasons) == 4


def test_instructions_that_work_without_the_direction_leave_it_open() -> None:
    found = judge_gate(evidence(0.0, 0.0, 0.0, 0.4), RULE)
    assert found.answer == "cannot tell"
    assert "nothing done along this direction accounts for" in found.reasons[0]


def test_random_directions_that_do_as_much_are_no_gate() -> None:
    """The mean over randoms is beaten, one of them is not."""
    base = evidence(0.0, 0.3, 0.0, 0.0)
    beaten = replace(
        base, contrasts=(base.contrasts[0], contrast("push.neutral", 0.3, least_single=-0.1), base.contrasts[2])
    )
    assert judge_gate(base, RULE).answer == "gates"
    assert judge_gate(beaten, RULE).answer == "cannot tell"


def test_a_wide_interval_can_prove_neither() -> None:
    base = evidence(0.0, 0.05, 0.0, 0.0)
    wide = replace(base, contrasts=(base.contrasts[0], contrast("push.neutral", 0.05, half=0.2), base.contrasts[2]))
    found = judge_gate(wide, RULE)
    assert found.answer == "cannot tell"
    assert "neither an effect by the rule nor surely none" in found.reasons[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"refused": wilson(20, 128)}, "little to gate"),
        ({"push": 0.1}, "longest readable dose"),
        ({"told_arms": (READ, NOISY)}, "noisy: 47% of the answers are no language"),
        ({"told_arms": (UNTOLD,)}, "untold: 47% of the answers could not be judged"),
        ({"elsewhere": {"x0.5": difference(0.3).difference}}, "dose other than the chosen"),
        ({"told": NO_DATA}, "not measured"),
    ],
)
def test_a_test_without_power_does_not_find_nothing(change: dict[str, object], said: str) -> None:
    found = judge_gate(replace(evidence(0.0, 0.0, 0.0, 0.0), **change), RULE)  # type: ignore[arg-type]
    assert found.answer == "cannot tell"
    assert said in " ".join(found.reasons)


@pytest.mark.parametrize("arm", [NOISY, UNTOLD, EMPTY])
@pytest.mark.parametrize("effect", [0.9, 0.0])
def test_one_arm_that_cannot_be_read_spoils_its_comparison(arm: Arm, effect: float) -> None:
    """Be it the persona's, a random direction's (to beat a broken model shows nothing) or the unsteered one."""
    found = judge_gate(evidence(effect, effect, effect, 0.0, arms=(READ, arm)), RULE)
    assert found.answer == "cannot tell"
    assert found.reasons[0].startswith(arm.spoken)
    assert len(set(found.reasons)) == len(found.reasons)


def test_a_comparison_that_can_be_read_is_a_gate_beside_one_that_cannot() -> None:
    base = evidence(0.9, 0.9, 0.9, 0.0, arms=(NOISY,))
    found = judge_gate(replace(base, contrasts=(*base.contrasts[:2], contrast("undo", 0.9))), RULE)
    assert (found.answer, found.carried) == ("gates", ("undo",))


@pytest.mark.parametrize("unsteered", [0.0, 0.05, -0.4])
def test_a_persona_that_changes_nothing_is_no_gate_however_far_from_random_directions(unsteered: float) -> None:
    """Random directions that only make the model refuse more would otherwise lend the persona an effect."""
    found = judge_gate(evidence(0.5, 0.5, 0.5, 0.0, unsteered=unsteered), RULE)
    assert found.answer == "cannot tell"
    assert "against no steering" in found.reasons[0]


@pytest.mark.parametrize(("refusal", "moves"), [(0.3, ("push.neutral",)), (0.0, ()), (0.05, ())])
def test_refusal_is_said_to_move_only_where_it_moves(refusal: float, moves: tuple[str, ...]) -> None:
    found = judge_gate(evidence(0.0, 0.3, 0.0, 0.0, refusal=refusal), RULE)
    assert found.answer == "gates"
    assert found.moves_refusal == moves


def test_holm_counts_all_three() -> None:
    base = evidence(0.0, 0.0, 0.0, 0.0)
    marginal = replace(base, contrasts=(*base.contrasts[:2], contrast("undo", 0.2, p=0.03)))
    found = judge_gate(marginal, RULE)
    assert found.p_adjusted["undo"] == pytest.approx(0.09)
    assert found.answer == "cannot tell"


@given(*[st.floats(-0.9, 0.9)] * 4, st.floats(0, 1))
def test_no_numbers_give_a_gate_without_an_effect_or_nothing_in_spite_of_one(
    plain: float, neutral: float, undo: float, told: float, push: float
) -> None:
    found = judge_gate(replace(evidence(plain, neutral, undo, told), push=push), RULE)
    if found.answer == "gates":
        assert max(plain, neutral, undo) >= RULE.least_effect
    if found.answer == "no gating":
        assert max(plain, neutral, undo, told) < RULE.least_effect
        assert push >= RULE.least_push
    assert found.reasons
