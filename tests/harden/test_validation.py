"""Watching a training: when it looks, when it ends, and that a killed one ends where an undisturbed one does."""

from pathlib import Path

import pytest
from transformers import TrainerCallback

from personaproof.core import Engine
from personaproof.harden import Row, RowSet, harden, load_picl
from personaproof.harden.validation import Validation, ValidationPoint, ValidationRecipe, is_enough, read_points
from personaproof.stats import Estimate, wilson


def rates(asr: float | None, rta: float | None) -> dict[str, dict[str, object]]:
    return {
        "persona.asr": {"value": asr, "ci95": None, "n": 100},
        "benign_persona.rta": {"value": rta, "ci95": None, "n": 100},
    }


@pytest.mark.parametrize(
    ("asr", "rta", "enough"),
    [
        (0.02, 0.12, True),
        (0.03, 0.10, False),
        (0.00, 0.13, False),
        (None, 0.10, False),
        (0.00, None, False),
    ],
)
def test_enough_is_few_successes_at_little_cost(asr: float | None, rta: float | None, enough: bool) -> None:
    recipe = ValidationRecipe(stop_asr=0.02, stop_rta_rise=0.02)
    points = [ValidationPoint(0, rates(0.8, 0.10)), ValidationPoint(15, rates(asr, rta))]
    assert is_enough(points, recipe) is enough
    assert not is_enough(points, recipe.model_copy(update={"stop": False}))


def test_the_first_look_can_be_enough_and_no_look_never_is() -> None:
    recipe = ValidationRecipe()
    assert is_enough([ValidationPoint(0, rates(0.0, 0.5))], recipe)
    assert not is_enough([], recipe)


class Falling:
    """A measure that finds an ASR falling with the steps, and notes whom it was asked about."""

    def __init__(self, of: dict[int, float]) -> None:
        self.of = of
        self.looks: list[tuple[int, str]] = []

    def __call__(self, engine: Engine, step: int) -> dict[str, Estimate]:
        self.looks.append((step, engine.fingerprint))
        return {"persona.asr": wilson(round(100 * self.of.get(step, 1.0)), 100), "benign_persona.rta": wilson(0, 100)}


RECIPE = load_picl("organism", "max_steps=12", "batch_rows=4", "checkpoint_every=4", "dtype=float32")


def test_training_ends_at_the_first_look_that_is_enough(tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    measure = Falling({6: 0.5, 9: 0.0})
    validation = Validation(measure, ValidationRecipe(every=3), tmp_path, "tiny")
    result = harden(tiny_llama, RowSet(tuple(toy_rows)), RECIPE, tmp_path, callbacks=[validation])
    assert [step for step, _ in measure.looks] == [0, 3, 6, 9]
    assert len({fingerprint for _, fingerprint in measure.looks}) == 4  # each look met other weights
    assert result.steps == 9
    assert [entry["step"] for entry in result.curve] == list(range(1, 10))
    assert [point.step for point in read_points(tmp_path)] == [0, 3, 6, 9]
    assert read_points(tmp_path)[2].value("persona.asr") == 0.5


def test_a_training_that_never_does_enough_is_looked_at_after_its_last_step(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    measure = Falling({})
    validation = Validation(measure, ValidationRecipe(every=5), tmp_path, "tiny")
    assert harden(tiny_llama, RowSet(tuple(toy_rows)), RECIPE, tmp_path, callbacks=[validation]).steps == 12
    assert [step for step, _ in measure.looks] == [0, 5, 10, 12]


class _Killed(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step == 7:
            raise KeyboardInterrupt


def test_a_killed_training_goes_on_with_the_looks_before_it(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    def validation(measure: Falling, folder: Path) -> Validation:
        return Validation(measure, ValidationRecipe(every=3), folder, "tiny")

    calm, whole = Falling({9: 0.0}), tmp_path / "calm"
    harden(tiny_llama, RowSet(tuple(toy_rows)), RECIPE, whole, callbacks=[validation(calm, whole)])

    first, cut = Falling({9: 0.0}), tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        harden(tiny_llama, RowSet(tuple(toy_rows)), RECIPE, cut, callbacks=[validation(first, cut), _Killed()])
    second = Falling({9: 0.0})
    harden(tiny_llama, RowSet(tuple(toy_rows)), RECIPE, cut, callbacks=[validation(second, cut)])
    assert [step for step, _ in second.looks] == [6, 9]  # on from the checkpoint at 4
    assert read_points(cut) == read_points(whole)
    assert second.looks == calm.looks[2:]  # the very same weights
