"""The diversity of a search's elites, as its summary holds it."""

from __future__ import annotations

import json
import random

from personaproof.data import persona_grammar
from personaproof.evolve.diversity import diversity_summary


def grammar_texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [persona_grammar.render(persona_grammar.sample_spec(rng), rng) for _ in range(count)]


def test_counts_add_up_and_the_summary_is_json() -> None:
    everyone = grammar_texts(120)
    summary = json.loads(json.dumps(diversity_summary(everyone[:15], everyone), allow_nan=False))
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
    same, different = diversity_summary(reworded, everyone), diversity_summary(everyone[: len(reworded)], everyone)
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
    again = diversity_summary(rng.sample(elites, 10) + elites[:3], rng.sample(everyone, 80) + everyone[:5])
    assert again == diversity_summary(elites, everyone)
    # Elites are part of everyone, whether the caller lists them there or not.
    assert diversity_summary(elites, everyone[10:]) == again


def test_nobody_and_a_single_persona_have_no_made_up_numbers() -> None:
    nobody = diversity_summary([], [])
    assert (nobody["coverage"], nobody["mean_similarity"], nobody["nearest_similarity"]) == (None, None, None)
    assert nobody["regions"] == []
    no_elite = diversity_summary([], grammar_texts(5))
    assert (no_elite["cells"], no_elite["coverage"], no_elite["mean_similarity"]) == (0, 0.0, None)
    assert no_elite["mean_similarity_all"] is not None
    lone = diversity_summary(["You are a pirate."], ["You are a pirate."])
    assert (lone["cells"], lone["coverage"], lone["mean_similarity"], lone["mean_similarity_all"]) == (
        1,
        1.0,
        None,
        None,
    )
