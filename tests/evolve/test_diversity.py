"""The diversity of a search's elites, as its summary holds it."""

from __future__ import annotations

import json
import random

import pytest

from personaproof.data import persona_grammar
from personaproof.evolve.descriptors import Cell, describe
from personaproof.evolve.diversity import diversity_summary
from personaproof.evolve.regions import Regions


def grammar_texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [persona_grammar.render(persona_grammar.sample_spec(rng), rng) for _ in range(count)]


def rated(texts: list[str]) -> dict[str, float]:
    """Texts with made-up estimates, a function of the text alone."""
    return {text: (sum(text.encode()) % 64) / 64 for text in texts}


def test_counts_add_up_and_the_summary_is_json() -> None:
    everyone = grammar_texts(120)
    summary = json.loads(json.dumps(diversity_summary(rated(everyone[:15]), everyone), allow_nan=False))
    assert (summary["elites"], summary["personas"]) == (15, len(set(everyone)))
    assert 1 <= summary["cells"] <= 15
    assert summary["cells"] < summary["reachable_cells"]
    assert summary["coverage"] == summary["cells"] / summary["reachable_cells"]
    for axis in summary["axes"]:
        assert sum(row["elites"] for row in summary["counts"][axis].values()) == 15
        assert sum(row["personas"] for row in summary["counts"][axis].values()) == summary["personas"]
    assert len(summary["regions"]) == len(summary["counts"]["region"])
    assert 0 < summary["mean_similarity"] < summary["nearest_similarity"] < 1


def test_one_failure_reworded_is_told_from_different_failures() -> None:
    rng = random.Random(3)
    spec = persona_grammar.sample_spec(rng, traits=(3, 3), framings=(2, 2))
    reworded = list({persona_grammar.render(spec, rng) for _ in range(12)})
    everyone = grammar_texts(100) + reworded
    same, different = (diversity_summary(rated(elites), everyone) for elites in (reworded, everyone[: len(reworded)]))
    assert same["mean_similarity"] > 2 * different["mean_similarity"]
    assert same["nearest_similarity"] > different["nearest_similarity"]
    assert same["cells"] < different["cells"]
    # The yardstick is the lineage's, whoever the elites are.
    assert same["mean_similarity_all"] == different["mean_similarity_all"]
    assert same["reachable_cells"] == different["reachable_cells"]


def test_order_and_repetition_change_nothing() -> None:
    everyone = grammar_texts(80)
    elites = everyone[:10]
    rng = random.Random(1)
    again = diversity_summary(rated(rng.sample(elites, 10)), rng.sample(everyone, 80) + everyone[:5])
    assert again == diversity_summary(rated(elites), everyone)
    # Elites are part of everyone, whether the caller lists them there or not.
    assert diversity_summary(rated(elites), everyone[10:]) == again


def test_nobody_and_a_single_persona_have_no_made_up_numbers() -> None:
    nobody = diversity_summary({}, [])
    assert (nobody["coverage"], nobody["mean_similarity"], nobody["nearest_similarity"]) == (None, None, None)
    assert nobody["regions"] == []
    no_elite = diversity_summary({}, grammar_texts(5))
    assert (no_elite["cells"], no_elite["coverage"], no_elite["mean_similarity"]) == (0, 0.0, None)
    assert no_elite["mean_similarity_all"] is not None
    lone = diversity_summary({"You are a pirate.": 0.5}, ["You are a pirate."])
    assert (lone["cells"], lone["coverage"], lone["mean_similarity"], lone["mean_similarity_all"]) == (
        1,
        1.0,
        None,
        None,
    )


def test_a_cell_counts_once_with_its_best_elite() -> None:
    everyone = sorted(set(grammar_texts(150, seed=4)))
    elites = rated(everyone[::2])
    cells = {t: each.cell for t, each in zip(everyone, describe(everyone, Regions.fit(everyone)), strict=True)}
    best: dict[Cell, float] = {}
    for text, value in elites.items():
        best[cells[text]] = max(value, best.get(cells[text], 0.0))
    told = diversity_summary(elites, everyone)
    assert told["cells"] == len(best) < len(elites)
    assert told["qd_score"] == pytest.approx(sum(best.values()))


def test_a_text_in_other_spaces_is_one_persona_with_the_higher_value() -> None:
    text = "You are a pirate captain at sea."
    told = diversity_summary({text: 0.25, text.replace(" ", "  "): 0.5}, [text])
    assert (told["elites"], told["cells"], told["qd_score"]) == (1, 1, 0.5)
