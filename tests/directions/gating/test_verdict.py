"""The rule, on made-up numbers: every answer it can give, and what keeps it from giving another."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaproof.directions.gating import Contrast, Evidence, Thresholds, judge_gate
from personaproof.stats import NO_DATA, Estimate, PairedDifference, wilson

RULE = Thresholds()


def difference(value: float, half: float = 0.06, p: float | None = None) -> PairedDifference:
    estimate = Estimate(value, max(-1.0, value - half), min(1.0, value + half), 64)
    return PairedDifference(estimate, (0.001 if abs(value) > half else 0.6) if p is None else p, 0, 0)


def contrast(name: str, value: float, *, least_single: float | None = None, **kwargs: float) -> Contrast:
    single = value if least_single is None else least_single
    return Contrast(name, name, difference(value, **kwargs), (value, value, single, value, value))


def evidence(plain: float, neutral: float, undo: float, told: float) -> Evidence:
    return Evidence(
        contrasts=(contrast("push.plain", plain), contrast("push.neutral", neutral), contrast("undo", undo)),
        told=difference(told).difference,
        elsewhere={},
        refused=wilson(120, 128),
        degenerate=wilson(2, 128),
        unjudged=wilson(1, 128),
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
        ({"degenerate": wilson(60, 128)}, "no language"),
        ({"unjudged": wilson(60, 128)}, "could not be judged"),
        ({"degenerate": NO_DATA}, "no language"),
        ({"elsewhere": {"x0.5": difference(0.3).difference}}, "dose other than the chosen"),
        ({"told": NO_DATA}, "not measured"),
    ],
)
def test_a_test_without_power_does_not_find_nothing(change: dict[str, object], said: str) -> None:
    found = judge_gate(replace(evidence(0.0, 0.0, 0.0, 0.0), **change), RULE)  # type: ignore[arg-type]
    assert found.answer == "cannot tell"
    assert said in " ".join(found.reasons)


def test_noise_is_never_a_gate() -> None:
    found = judge_gate(replace(evidence(0.9, 0.9, 0.0, 0.9), degenerate=wilson(60, 128)), RULE)
    assert found.answer == "cannot tell"


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
