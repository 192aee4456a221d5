"""`bench search`: the sums of its summary, and a small run through the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from personaproof.bench import SearchBench, SearchBenchRecipe, bench_recipe
from personaproof.bench.search import Course
from personaproof.core import RecipeError, load_recipe

SMALL = {"seeds": 6, "requests": 8, "parents": 4, "elites": 5, "sampling": {"max_new_tokens": 24}}


def small(**changes: object) -> dict[str, object]:
    strategies = {name: {"strategy": name, **SMALL} for name in ("thompson", "ple")}
    return {
        "levels": [0.01, 0.99],
        "budgets": [100],
        "cap": 150,
        "confirm_requests": 4,
        "strategies": strategies,
        **changes,
    }


def test_ratios_pair_the_seeds_that_reached_the_level_in_both() -> None:
    recipe = SearchBenchRecipe.model_validate(small(levels=[0.8]))
    ours = [Course({0.8: 100}, {0.8: 0.4}, {0.8: 0.1}, {100: (0.9, 0.7)}), Course({0.8: 200}, {0.8: 0.5}, {0.8: 0.0})]
    theirs = [Course({0.8: 1000}, {0.8: 0.8}, {0.8: 0.2}), Course()]
    told = SearchBench(recipe, {"thompson": ours, "ple": theirs}).summary()
    assert told["ratio_to_ple"]["calls_to_0.80"] == {"value": pytest.approx(0.1), "ci95": None, "n": 1}
    assert told["ratio_to_ple"]["similarity_at_0.80"]["value"] == pytest.approx(0.5)
    assert told["metrics"]["thompson.calls_to_0.80"]["value"] == 150
    assert told["reached"] == {"thompson.0.80": "2 of 2", "ple.0.80": "1 of 2"}
    assert told["metrics"]["thompson.gap_at_100"]["value"] == pytest.approx(0.2)
    assert told["metrics"]["ple.confirmed_asr_at_100"]["value"] is None


def test_the_built_in_recipe_and_bad_ones() -> None:
    built_in = load_recipe(SearchBenchRecipe, bench_recipe("search"))
    assert list(built_in.strategies)[:2] == ["thompson", "ple"]
    assert built_in.strategies["ple"].requests == 150
    with pytest.raises(ValueError, match="need the reference 'ple'"):
        SearchBenchRecipe.model_validate(small(strategies={"thompson": {"strategy": "thompson"}}))
    uneven = {"thompson": {"strategy": "thompson", "elites": 4}, "ple": {"strategy": "ple"}}
    with pytest.raises(ValueError, match="must be the same"):
        SearchBenchRecipe.model_validate(small(strategies=uneven))
    with pytest.raises(RecipeError, match="did you mean 'levels'"):
        load_recipe(SearchBenchRecipe, bench_recipe("search"), ["levls=[0.5]"])


def run(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "personaproof", "bench", "search", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)


def test_the_command_compares_and_a_rerun_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small()))
    arguments = ("--seeds", "2", "--recipe", "small.yaml", "--out", "bench")
    done = run(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    told = (tmp_path / "bench/summary.json").read_bytes()
    summary = json.loads(told)
    assert summary["seeds"] == 2
    assert "calls_to_0.01" in summary["ratio_to_ple"]
    assert summary["reached"]["ple.0.99"] == "0 of 2"
    assert "thompson" in done.stdout
    for name, limit in (("thompson", 100), ("ple", 100)):
        for curve in summary["curves"][name]:
            assert curve
            assert all(calls <= 150 for calls, _, _ in curve)
            assert any(calls <= limit for calls, _, _ in curve)
    again = run(tmp_path, *arguments)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "bench/summary.json").read_bytes() == told


def test_errors_say_what_to_do(tmp_path: Path) -> None:
    failed = run(tmp_path, "--seeds", "0")
    assert failed.returncode == 2
    assert "--seeds must be at least 1" in failed.stderr
