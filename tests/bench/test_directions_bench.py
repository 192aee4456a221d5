"""`bench directions` on a tiny model: both ways agree, and disagreement is an error."""

from collections.abc import Callable
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


def test_no_more_than_one_personas_activations_are_held_at_a_time(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways are asked for one persona and compared before the next; times are sums over all."""
    events: list[str] = []
    for name in ("_activations", "_naive_activations", "_apart"):
        real = getattr(bench, name)

        def spy(*given: object, name: str = name, real: Callable = real) -> object:
            found = real(*given)
            if name == "_apart":
                events.extend(["compared"] if given[0] == "activations" else [])
            else:
                events.append(name)
                assert found.dim() == 3
                assert len(found) == texts
            return found

        monkeypatch.setattr(bench, name, spy)
    texts = 15
    monkeypatch.setattr(bench, "_timed", lambda compute: (compute().cpu(), 2.0))
    summary = run_directions_bench(RECIPE, engine, load_roles("panel"), quiet, quiet).summary()
    assert summary["texts"] == texts
    ours_first = ["_activations", "_naive_activations", "compared"]
    theirs_first = ["_naive_activations", "_activations", "compared"]
    assert events == ours_first * 5 + theirs_first * 5
    assert summary["metrics"]["activations.ours_seconds"]["value"] == 10.0


@pytest.mark.parametrize("member", [0, 4])
def test_one_persona_without_a_number_stops_the_bench(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch, member: int
) -> None:
    real = bench._surprise

    def broken(engine: TransformersEngine, panel: object, at: int, texts: object) -> torch.Tensor:
        return real(engine, panel, at, texts) * (float("nan") if at == member else 1)

    monkeypatch.setattr(bench, "_surprise", broken)
    with pytest.raises(ModelError, match="nan"):
        run_directions_bench(RECIPE, engine, load_roles("panel"), quiet, quiet)
