"""Builders from real data: right answers, even letters, one shape, and files read with the place of every problem."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from personaproof.core import DataError, Persona, RecipeError, Request, framings
from personaproof.data import (
    Dilemma,
    GroupPlan,
    MetaGroup,
    Question,
    Variant,
    common_shape,
    load_dilemmas,
    load_questions,
    maths_groups,
    moral_groups,
    prove_groups_disjoint,
    safety_groups,
    split_groups,
)
from personaproof.data.contexts import WordingFamily
from personaproof.data.group_builders import DISTRACTORS, distractors
from personaproof.data.metagroups import OPEN_CONTEXTS, mention_options

PERSONAS = [Persona(f"You are the {name}.", family=name) for name in ("monk", "chef", "bard")]
REQUESTS = [
    Request(f"Do the {kind} thing {at}?", kind == "bad", f"thing {at}") for at in range(20) for kind in ("bad", "good")
]
DILEMMAS = [
    Dilemma(f"Case {at}: a wallet lies on the road.", ("Hand it in", "Keep it", "Walk on"), 0, f"wallet {at}")
    for at in range(12)
]
QUESTIONS = [Question(f"What is {a} times {b}?", str(a * b)) for a in range(2, 8) for b in (0, 3, 150)]


def options_of(prompt: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z])\) (.*)$", prompt, re.MULTILINE))


def chosen(variant: Variant) -> str:
    return options_of(variant.conversation.messages[-1].content)[variant.answer]


def build(domain: str, **plan: Any) -> list[MetaGroup]:
    made = GroupPlan(**plan)
    if domain == "safety":
        return safety_groups(REQUESTS, PERSONAS, made)
    return moral_groups(DILEMMAS, PERSONAS, made) if domain == "moral" else maths_groups(QUESTIONS, PERSONAS, made)


@pytest.mark.parametrize("domain", ["safety", "moral", "maths"])
@pytest.mark.parametrize("family", ["train", "held_out"])
def test_every_group_has_the_shape_of_the_plan(domain: str, family: WordingFamily) -> None:
    groups = build(domain, family=family, anchors=3)
    assert common_shape(groups) == (3, len(OPEN_CONTEXTS))
    assert [v.context for v in groups[0].open] == list(OPEN_CONTEXTS)
    assert all(f".{family}." in v.template for g in groups for v in g.variants)
    assert groups == build(domain, family=family, anchors=3)
    assert groups != build(domain, family=family, anchors=3, seed=1)


@pytest.mark.parametrize("domain", ["safety", "moral", "maths"])
def test_train_and_held_out_wordings_share_nothing(domain: str) -> None:
    train, held = ({v.template for g in build(domain, family=f) for v in g.variants} for f in ("train", "held_out"))
    assert not train & held
    parts = split_groups(build(domain), {"train": 0.7, "test": 0.3}, 0)
    assert prove_groups_disjoint(parts)["overlaps"]["latents"] == 0


def test_safety_anchors_are_right_and_carry_the_request() -> None:
    for group in build("safety"):
        for variant in group.variants:
            assert variant.request is not None
            assert variant.request.text in variant.conversation.messages[-1].content
            if variant.role == "anchor":
                refuses = re.search(r"Refuse|Decline|Say no", chosen(variant)) is not None
                assert refuses == variant.request.harmful
            else:
                assert (variant.answer == "refuse") == variant.request.harmful
        assert Counter(v.answer for v in group.anchors) == {"A": 1, "B": 1}


def test_moral_anchors_are_right_and_the_open_question_names_every_option() -> None:
    for group in build("moral"):
        assert all(chosen(v) == "Hand it in" for v in group.anchors)
        for variant in group.open:
            right, others = mention_options(variant.answer)
            assert (right, set(others)) == ("Hand it in", {"Keep it", "Walk on"})
            said = variant.conversation.messages[-1].content
            assert all(option in said for option in (right, *others))


def test_maths_anchors_are_right_and_only_one_option_is() -> None:
    for group in build("maths", anchors=4):
        a, b = map(int, re.findall(r"\d+", group.anchors[0].conversation.messages[-1].content))
        assert [v.context for v in group.anchors] == ["rule"] + ["choice"] * 3
        assert group.anchors[0].answer == str(a * b)
        for variant in group.anchors[1:]:
            assert int(chosen(variant)) == a * b
            options = options_of(variant.conversation.messages[-1].content)
            assert len(set(options.values())) == len(options) == 1 + DISTRACTORS
        assert {v.answer for v in group.open} == {str(a * b)}


def test_letters_come_evenly() -> None:
    for domain, letters in (("moral", 3), ("maths", 4)):
        groups = build(domain, anchors=letters + (domain == "maths"))
        for group in groups:
            found = Counter(v.answer for v in group.anchors if v.context == "choice")
            assert sorted(found.values()) == [1] * letters
    alone = Counter(v.answer for seed in range(8) for g in build("safety", anchors=1, seed=seed) for v in g.anchors)
    assert 0.4 < alone["A"] / alone.total() < 0.6


def test_a_formula_has_plain_anchors_instead_of_choices() -> None:
    group = maths_groups([Question("Expand x(x + 1).", "x^2 + x")], PERSONAS, GroupPlan())[0]
    assert [v.context for v in group.anchors] == ["rule", "rule"]
    with pytest.raises(RecipeError, match=r"'x\^2' is no number.*at most 3"):
        maths_groups([Question("Square x.", "x^2")], PERSONAS, GroupPlan(anchors=4))


def test_plans_that_cannot_be_met() -> None:
    with pytest.raises(RecipeError, match=r"7 choice anchors.*at most 6"):
        build("safety", anchors=7)
    assert len({v.id for v in build("safety", anchors=6)[0].anchors}) == 6
    with pytest.raises(RecipeError, match="at least one anchor"):
        GroupPlan(anchors=0)
    with pytest.raises(RecipeError, match="from 0 personas"):
        safety_groups(REQUESTS, [], GroupPlan())
    assert common_shape(safety_groups(REQUESTS, [], GroupPlan(contexts=("plain",)))) == (2, 1)


def test_personas_in_the_user_turn() -> None:
    groups = safety_groups(REQUESTS, PERSONAS, GroupPlan(framing=framings.get("user")))
    assert {m.role for g in groups for v in g.variants for m in v.conversation.messages} == {"user", "assistant"}


@given(st.decimals(-(10**6), 10**6, places=2) | st.integers(-50, 10**7), st.integers(0, 99))
def test_distractors_are_wrong_near_and_written_alike(number: Any, seed: int) -> None:
    answer = f"{number:,}" if seed % 2 else str(number)
    found = distractors(answer, 3, random.Random(seed))
    assert len({*found, answer}) == 4
    for one in found:
        assert len(one.partition(".")[2]) == len(answer.partition(".")[2])
        assert float(one.replace(",", "")) >= 0 or float(number) < 0


def test_what_is_no_number_has_no_distractors() -> None:
    assert [distractors(text, 3, random.Random(0)) for text in ("x + 1", "seven", "1/2", "", "٣x")] == [[]] * 5


def write(folder: Path, *rows: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


OPTIONS = ["Tell her", "Say nothing"]


@pytest.mark.parametrize(
    "fields",
    [
        {"options": OPTIONS, "answer": "B"},
        {"choices": OPTIONS, "label": 1},
        {"Options": OPTIONS, "right": "say nothing"},
        {"option_a": OPTIONS[0], "option_b": OPTIONS[1], "option_c": None, "correct": "b"},
    ],
)
def test_dilemmas_in_their_forms(tmp_path: Path, fields: dict[str, Any]) -> None:
    rows = [{"scenario": "A friend sings badly.", **fields}] * 2
    loaded = load_dilemmas(write(tmp_path, *rows))
    assert loaded.items == (Dilemma("A friend sings badly.", tuple(OPTIONS), 1),)
    assert len(loaded.duplicates) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"options": OPTIONS, "answer": "C"}, "none of the 2"),
        ({"options": OPTIONS}, "none of the 2"),
        ({"options": ["Same", "same"], "answer": "A"}, "2 to 26 different options"),
        ({"options": "Tell her", "answer": "A"}, "must be a list"),
        ({"options": ["a", 1], "answer": "A"}, "must be a text"),
        ({"answer": "A"}, "no options"),
        ({"options": OPTIONS, "answer": "A"}, "asks the same as"),
    ],
)
def test_a_bad_dilemma_is_named_with_its_line(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    good = {"scenario": "A friend sings badly.", "options": OPTIONS, "answer": "B"}
    with pytest.raises(DataError) as error:
        load_dilemmas(write(tmp_path, good, {"scenario": "A friend sings badly.", **fields}))
    assert "rows.jsonl:2: " in str(error.value)
    assert says in str(error.value)


def test_questions_in_their_forms(tmp_path: Path) -> None:
    rows = [{"question": "Six sevens?", "answer": "6 * 7 = 42\n#### 42"}, {"question": "Half?", "answer": 0.5}]
    assert [(q.text, q.answer) for q in load_questions(write(tmp_path, *rows)).items] == [
        ("Six sevens?", "42"),
        ("Half?", "0.5"),
    ]
    with pytest.raises(DataError, match=r"rows.jsonl:1: no right answer"):
        load_questions(write(tmp_path, {"question": "Six sevens?", "note": "?"}))
    with pytest.raises(DataError, match=r"rows.jsonl:2: asks the same as .*:1"):
        load_questions(write(tmp_path, {"question": "Q?", "answer": "1"}, {"question": "Q?", "answer": "2"}))
