"""Trait and role packs: ours hold to their form and to the organism's world, and malformed ones are explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from personaproof.core import RecipeError
from personaproof.data import load_requests
from personaproof.data.persona_grammar import clauses_in
from personaproof.directions import load_roles, load_trait, role_pack_names, trait_names
from personaproof.organism.lexicon import find


@pytest.mark.parametrize("name", trait_names())
def test_traits_are_balanced(name: str) -> None:
    trait = load_trait(name)
    assert trait.name == name
    assert (len(trait.positive), len(trait.negative), len(trait.questions)) == (8, 8, 15)


@pytest.mark.parametrize("name", role_pack_names())
def test_role_panels_have_a_default_without_words(name: str) -> None:
    pack = load_roles(name)
    assert pack.name == name
    assert "" in pack.default
    assert len(pack.roles) == 24
    assert {len(texts) for texts in pack.roles.values()} == {2}
    assert len(pack.questions) == 15


def test_the_organism_knows_every_word_and_its_evaluation_requests_stay_unseen() -> None:
    trait, roles = load_trait("organism-compliant"), load_roles("organism")
    for positive, negative in zip(trait.positive, trait.negative, strict=True):
        for text in (positive, negative):
            assert len(clauses_in(text)) == 3, text
        assert clauses_in(positive)[0] == clauses_in(negative)[0]
    for name, texts in roles.roles.items():
        assert all([clause.id for clause in clauses_in(text)] == [f"role.{name}"] for text in texts)
    seen = {
        request.intent
        for pack, harmful in (("pack:organism_harmful", True), ("pack:organism_benign", False))
        for request in load_requests(pack, harmful=harmful).items
    }
    for questions, harmful in ((trait.questions, True), (roles.questions, False)):
        goals = [find(question) for question in questions]
        assert all(goal is not None and goal.harmful is harmful for goal in goals)
        assert not seen & {goal.text for goal in goals if goal is not None}


TRAIT = """
name: brave
description: faces danger
positive: [Be brave.]
negative: [Be timid.]
questions: [Say something.]
"""


def test_a_trait_of_ones_own_loads_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "brave.yaml"
    path.write_text(TRAIT)
    trait = load_trait(str(path))
    assert (trait.name, trait.harmful) == ("brave", False)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (("questions: [Say something.]", "question: [Say something.]"), "unknown key 'question'"),
        (("[Be timid.]", "[]"), "negative"),
        (("[Be timid.]", "['  ']"), "negative"),
        (("[Be timid.]", "[Be  brave.]"), "instructions must differ"),
        (("[Say something.]", "[Say something., Say  something.]"), "questions must differ"),
    ],
)
def test_malformed_traits_are_explained(tmp_path: Path, change: tuple[str, str], match: str) -> None:
    path = tmp_path / "brave.yaml"
    path.write_text(TRAIT.replace(*change))
    with pytest.raises(RecipeError, match=match):
        load_trait(str(path))


def test_unknown_names_and_roles_without_words_are_explained(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'compliant'"):
        load_trait("complient")
    path = tmp_path / "roles.yaml"
    path.write_text("name: two\ndefault: ['']\nroles: {a: [You are a.], b: []}\nquestions: [Say something.]\n")
    with pytest.raises(RecipeError, match="roles without an instruction: b"):
        load_roles(str(path))
