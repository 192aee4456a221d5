"""What a loop says it will cost, before it starts."""

import pytest

from personaproof.harden import LoopRecipe, loop_recipe
from personaproof.harden.loop_plan import validation_calls


@pytest.mark.parametrize(("steps", "looks"), [(30, 3), (31, 4), (44, 4), (1, 2)])
def test_watching_is_counted_to_the_last_step(steps: int, looks: int) -> None:
    values = loop_recipe("organism")
    told = {"harden": {**values["harden"], "max_steps": steps}, "validation": {"every": 15}}
    recipe = LoopRecipe.model_validate({**values, **told})
    watched = recipe.validation
    each = 2 * watched.requests * (watched.personas + 1)
    assert looks * each <= validation_calls(recipe, 1000) <= (looks + 1) * each


def test_a_training_by_epochs_has_its_steps_counted_from_the_rows() -> None:
    recipe = LoopRecipe.model_validate(loop_recipe("picl"))
    assert recipe.harden.max_steps is None
    assert validation_calls(recipe, 42 * 15 * 10) > validation_calls(recipe, 42)
