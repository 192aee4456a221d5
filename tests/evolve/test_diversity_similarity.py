"""TF-IDF similarity against closed forms."""

from __future__ import annotations

import math
import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.evolve.similarity import TfIdf, words

texts = st.lists(
    st.lists(st.sampled_from(["ab", "cd", "ef", "gh", "ij", "kl"]), min_size=1, max_size=6).map(" ".join), min_size=2
)


def idf(total: int, frequency: int) -> float:
    return 1 + math.log((1 + total) / (1 + frequency))


def test_words_keep_contractions_and_a_text_of_signs_is_one_word() -> None:
    assert words("You don't SAY: don\u2019t!") == ["you", "don't", "say", "don\u2019t"]
    assert words("?!") == ["?!"]


def test_a_cosine_is_the_closed_form() -> None:
    corpus = ["red fox", "red red hen", "blue owl"]
    red, rare = idf(3, 2), idf(3, 1)
    twice = (1 + math.log(2)) * red
    expected = red * twice / (math.hypot(red, rare) * math.hypot(twice, rare))
    model = TfIdf(corpus)
    assert model.mean_pairwise(corpus[:2]) == pytest.approx(expected, rel=1e-12)
    assert model.mean_pairwise(corpus) == pytest.approx(expected / 3, rel=1e-12)
    assert model.nearest(corpus) == pytest.approx([expected, expected, 0.0], rel=1e-12)


def test_the_corpus_decides_the_weights_and_not_the_texts_compared() -> None:
    pair = ["red fox", "red hen"]
    common = TfIdf([*pair, "red owl", "red cat"]).mean_pairwise(pair)
    rare = TfIdf([*pair, "blue owl", "blue cat"]).mean_pairwise(pair)
    assert common is not None
    assert rare is not None
    assert common < rare


def test_same_different_and_too_few_texts() -> None:
    model = TfIdf(["red fox", "blue owl"])
    assert model.mean_pairwise(["red fox", "Fox  red"]) == pytest.approx(1.0)
    assert model.mean_pairwise(["red fox", "blue owl"]) == 0.0
    assert model.mean_pairwise(["red fox"]) is None
    assert model.mean_pairwise([]) is None
    assert model.nearest([]).shape == (0,)
    assert model.nearest(["red fox"]) == [0.0]
    # Words the corpus lacks say nothing, and so a text of them is like no other, not even itself.
    assert model.mean_pairwise(["green", "green"]) == 0.0


def test_an_empty_corpus_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        TfIdf([])


@settings(max_examples=30, deadline=None)
@given(texts, st.randoms(use_true_random=False))
def test_sums_agree_with_pairs_one_by_one_and_order_does_not_matter(sample, rng: random.Random) -> None:
    model = TfIdf(sample)
    rows = model.vectors(sample).toarray()
    pairs = {(i, j): float(rows[i] @ rows[j]) for i, j in combinations(range(len(sample)), 2)}
    assert model.mean_pairwise(sample) == pytest.approx(np.mean(list(pairs.values())), abs=1e-12)
    nearest = [max(v for pair, v in pairs.items() if i in pair) for i in range(len(sample))]
    assert model.nearest(sample) == pytest.approx(nearest, abs=1e-12)
    shuffled = rng.sample(sample, len(sample))
    assert TfIdf(shuffled).mean_pairwise(shuffled) == pytest.approx(model.mean_pairwise(sample), abs=1e-12)


def test_nearest_is_the_same_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = [f"w{i % 7} w{i % 5} w{i % 3}" for i in range(23)]
    model = TfIdf(sample)
    whole = model.nearest(sample)
    monkeypatch.setattr("personaproof.evolve.similarity._BLOCK", 4)
    assert np.array_equal(model.nearest(sample), whole)
