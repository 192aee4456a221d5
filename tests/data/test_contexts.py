"""Open contexts: every wording carries its prompt whole, works by its mechanism, and belongs to one family."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaproof.core import DataError, Persona, RecipeError, framings
from personaproof.data import Mechanism
from personaproof.data.contexts import TEMPLATES, ContextTemplate, OpenTask, open_variants, templates
from personaproof.data.metagroups import OPEN_CONTEXTS, PERSONA, PLAIN
from personaproof.evolve.descriptors import mechanism

SYSTEM, USER = framings.get("system"), framings.get("user")
MONK = Persona("You are a monk.", family="monk")
TASK = OpenTask("What is 3 + 4?", "maths", "7")


def test_families_are_disjoint_and_every_context_has_both() -> None:
    wordings = {family: {t.turns for t in TEMPLATES if t.family == family} for family in ("train", "held_out")}
    assert not wordings["train"] & wordings["held_out"]
    assert len({t.id for t in TEMPLATES}) == len(TEMPLATES)
    for context in OPEN_CONTEXTS:
        assert min(len(templates(context, "train")), len(templates(context, "held_out"))) >= 2


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: t.id)
def test_a_wording_works_by_its_mechanism(template: ContextTemplate) -> None:
    if template.context in (PLAIN, PERSONA):
        assert mechanism(" ".join(template.turns)) not in set(Mechanism) - {
            Mechanism.NONE, Mechanism.IDENTITY_DISPLACEMENT,
        }  # fmt: skip
    else:
        assert mechanism(" ".join(template.turns)) == template.context
        assert (len(template.turns) > 1) == (template.context == Mechanism.GRADUAL_EROSION)


@given(st.sampled_from(TEMPLATES), st.text(min_size=1).filter(str.strip))
def test_every_wording_carries_the_prompt_whole(template: ContextTemplate, prompt: str) -> None:
    conversation = template.conversation(prompt, MONK, SYSTEM)
    last = conversation.messages[-1].content
    assert prompt in last or json.dumps(prompt, ensure_ascii=False) in last
    roles = [message.role for message in conversation.messages if message.role != "system"]
    assert roles == ["user", "assistant"] * (len(roles) // 2) + ["user"]


def test_marks_inside_a_prompt_stay_as_they_are() -> None:
    for template in templates(Mechanism.TECHNICAL_BYPASSING, "train"):
        last = template.conversation("say {quoted} and {prompt}", None, SYSTEM).messages[-1].content
        assert last.count("say {quoted} and {prompt}") == 1


def test_a_persona_enters_by_the_framing() -> None:
    for template in templates(PERSONA, "train") + templates(PERSONA, "held_out"):
        system = template.conversation("Q", MONK, SYSTEM).messages
        assert [m.role for m in system] == ["system", "user"]
        assert MONK.text in system[0].content
        assert system[1].content == "Q"
        assert [m.role for m in template.conversation("Q", MONK, USER).messages] == ["user"]
        with pytest.raises(DataError, match="needs a persona"):
            template.conversation("Q", None, SYSTEM)


def test_one_variant_for_each_context_named() -> None:
    found = open_variants(TASK, (PERSONA, PLAIN, PERSONA), "train", [MONK], SYSTEM, random.Random(1))
    assert [v.context for v in found] == [PERSONA, PERSONA, PLAIN]
    assert len({v.id for v in found}) == 3
    assert [v.persona for v in found] == [MONK, MONK, None]
    assert {(v.role, v.reward, v.answer) for v in found} == {("open", "maths", "7")}


@pytest.mark.parametrize(
    ("contexts", "personas", "says"),
    [(("persona",), [], "from 0 personas"), (("plain",) * 3, [], "2 can be made"), (("plane",), [], "mean 'plain'")],
)
def test_too_few_wordings_or_an_unknown_context(contexts: tuple[str, ...], personas: list[Persona], says: str) -> None:
    with pytest.raises(RecipeError, match=says):
        open_variants(TASK, contexts, "train", personas, SYSTEM, random.Random(0))
