"""The part of a page that says what the audited model had been trained on."""

import pytest

from personaproof.core import DataError
from personaproof.report import build_trained_on, trained_on_sentence


def overlap(shared: int) -> dict:
    return {
        kind: {"shared": shared, "of": 4} for kind in ("requests", "request_texts", "intents", "personas", "families")
    }


def test_an_audit_on_trained_data_says_so_before_its_numbers() -> None:
    assert "3 of this audit's 4 intents and 3 of this audit's 4 lineage families" in trained_on_sentence(overlap(3))
    section = build_trained_on(overlap(3))
    assert section is not None
    assert "flatter" in section.verdict
    assert section.tables[0].rows[0] == ("Intents of requests", "3", "4")


def test_a_clean_audit_says_that_too_and_an_unknown_training_nothing() -> None:
    assert trained_on_sentence(overlap(0)) == ""
    section = build_trained_on(overlap(0))
    assert section is not None
    assert "Nothing of this audit" in section.verdict
    assert build_trained_on(None) is None
    with pytest.raises(DataError, match="audit again"):
        build_trained_on({"intents": {}})
