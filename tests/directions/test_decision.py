"""Where refusing and complying answers part, on made-up answers of one letter a token."""

from __future__ import annotations

import pytest

from personaproof.core import DataError
from personaproof.directions import decision_indices


def _find(*answers: str) -> list[int | None]:
    """A leading "-" marks a refusal."""
    return decision_indices([[ord(c) for c in a.lstrip("-")] for a in answers], [a.startswith("-") for a in answers])


def test_plain_answers_part_at_once_and_those_in_character_after_the_opener() -> None:
    assert _find("-cannot", "sure", "-no", "gladly") == [0, 0, 0, 0]
    assert _find("-Arr!no", "Arr!yes", "-Beep-no", "Beep-yes", "sure") == [4, 4, 5, 5, 0]


def test_an_opener_that_only_one_outcome_uses_decides_by_itself() -> None:
    assert _find("-Arr!no", "Beep-yes") == [0, 0]


def test_a_shared_word_within_the_answer_itself_counts_as_undecided() -> None:
    assert _find("-I won't", "I will", "-I want no part", "I want it") == [3, 3, 7, 7]


def test_one_misjudged_answer_among_many_does_not_move_the_place() -> None:
    answers = ["-Arr!no"] * 30 + ["Arr!yes"] * 30
    assert set(_find(*answers, "Arr!no")) == {4}


def test_the_same_words_judged_both_ways_have_no_place() -> None:
    assert _find("-same", "same", "-other", "more")[:2] == [None, None]


def test_one_outcome_alone_is_an_error() -> None:
    with pytest.raises(DataError, match="3 answers 3 refuse and 0 comply"):
        _find("-a", "-b", "-c")
