"""`bench directions` on a tiny model: both ways agree, and disagreement is an error."""

from pathlib import Path

import pytest
import torch

from personaproof.bench import DirectionsBenchRecipe, run_directions_bench
from personaproof.bench import directions as bench
from personaproof.core import DataError, ModelError
from personaproof.directions import load_roles
from personaproof.engines import TransformersEngine

RECIPE = DirectionsBenchRecipe(personas=5, texts=3, max_new_tokens=6, repeats=2)


@pytest.fixture(scope="module")
def engine(tiny_qwen2: Path) -> TransformersEngine:
    return TransformersEngine.load(tiny_qwen2, dtype="float32", device="cpu")


def quiet(*_: object) -> None:
    pass


def test_both_ways_agree_and_every_repeat_is_in_the_ratio(engine: TransformersEngine) -> None:
    told: list[str] = []
    summary = run_directions_bench(RECIPE, engine, load_roles("panel"), told.append, quiet).summary()
    assert len(told) == 4
    assert summary["agreement"]["surprise"] < 1e-4
    assert summary["agreement"]["activations"] < 1e-5
    assert summary["scored"] == 5 * summary["texts"]
    for form in ("surprise", "activations"):
        assert summary["ratios"][f"{form}.naive_to_ours"]["n"] == 2
        ours, naive = (summary["metrics"][f"{form}.{way}_seconds"]["value"] for way in ("ours", "naive"))
        assert ours > 0
        assert naive > 0


def test_ways_that_do_not_agree_stop_the_bench(engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = bench._naive_surprise
    monkeypatch.setattr(bench, "_naive_surprise", lambda *given: real(*given) + 0.01)
    with pytest.raises(ModelError, match=r"0\.01 apart"):
        run_directions_bench(RECIPE, engine, load_roles("panel"), quiet, quiet)


def test_nothing_measured_as_a_number_is_not_agreement() -> None:
    with pytest.raises(ModelError, match="nan"):
        bench._check({"surprise": float("nan"), "activations": 0.0}, torch.float32)


def test_a_panel_too_small_is_refused(engine: TransformersEngine) -> None:
    with pytest.raises(DataError, match="24 roles"):
        run_directions_bench(RECIPE.model_copy(update={"personas": 26}), engine, load_roles("panel"), quiet, quiet)
