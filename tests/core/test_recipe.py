from pathlib import Path

import pytest

from personaproof.core import Recipe, RecipeError, load_recipe


class Inner(Recipe):
    temperature: float = 0.7


class Outer(Recipe):
    generations: int = 40
    sampling: Inner = Inner()


def test_later_sources_win(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("generations: 3\nsampling: {temperature: 0.1}\n")
    recipe = load_recipe(Outer, path, ["sampling.temperature=0.5"], base={"generations": 9})
    assert recipe == Outer(generations=3, sampling=Inner(temperature=0.5))


def test_unknown_keys_name_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("generatons: 3\n")
    with pytest.raises(RecipeError, match=r"unknown key 'generatons'.*did you mean 'generations'"):
        load_recipe(Outer, path)
    with pytest.raises(RecipeError, match=r"sampling.temprature.*did you mean 'temperature'"):
        load_recipe(Outer, overrides=["sampling.temprature=1"])


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "generations: many"])
def test_malformed_recipes(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError):
        load_recipe(Outer, path)


def test_missing_file_and_bad_override(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe at"):
        load_recipe(Outer, tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="key=value"):
        load_recipe(Outer, overrides=["generations"])


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("")
    assert load_recipe(Outer, path) == Outer()


class Cut(Recipe):
    how = frozenset({"rows"})
    rate: float = 1.0
    rows: int = 4


class Loop(Recipe):
    seed: int = 0
    training: Cut = Cut()


def test_a_run_is_known_by_what_it_computes_and_not_by_how_its_work_is_cut() -> None:
    assert Loop().identity() == {"seed": 0, "training": {"rate": 1.0}}
    assert Loop(training=Cut(rows=2)).identity() == Loop().identity()
    assert Loop(training=Cut(rate=2)).identity() != Loop().identity()
    assert Outer().identity() == Outer().model_dump(mode="json")
