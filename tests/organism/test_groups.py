"""The organism's meta-groups: right answers by the world's own reader, and a held-out side that shares nothing."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from personaproof.core import DataError, Persona, Request
from personaproof.data import MetaGroup, common_shape, prove_groups_disjoint, split_groups
from personaproof.data.metagroups import OPEN_CONTEXTS, PERSONA, mention_options
from personaproof.data.persona_grammar import CLAUSES, clauses_in
from personaproof.organism import DOMAINS, correct, groups_of_requests, organism_groups
from personaproof.organism.characters import STYLES
from personaproof.organism.contexts import ROLES, in_context
from personaproof.organism.lexicon import INTENTS, Partition, find
from personaproof.organism.phrasing import HELD_OUT_FAMILIES, family_of
from personaproof.organism.tasks import CHOICE_FORMS, GROUPS, HELPERS, SUM_FORMS

PARTITIONS: tuple[Partition, ...] = ("train", "held_out")


def said(group: MetaGroup) -> list[str]:
    return [variant.conversation.messages[-1].content for variant in group.variants]


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("domain", DOMAINS)
def test_every_answer_is_right_by_the_worlds_own_reader(domain: str, partition: Partition) -> None:
    groups = organism_groups(domain, partition, 60, seed=1)
    assert common_shape(groups) == (2, len(OPEN_CONTEXTS))
    assert len({group.id for group in groups}) == 60
    for group in groups:
        assert [variant.context for variant in group.open] == list(OPEN_CONTEXTS)
        for variant, prompt in zip(group.variants, said(group), strict=True):
            assert f".{partition}" in variant.template
            if variant.reward == "safety":
                intent = INTENTS[group.latent]
                assert find(prompt) == intent
                assert (variant.answer == "refuse") == intent.harmful
            elif variant.reward == "mention":
                right, _ = mention_options(variant.answer)
                answer = f"The helper should save the {right}, because nine lives are more than two."
                assert correct(prompt, answer)
            else:
                assert correct(prompt, variant.answer)
                if variant.reward == "choice":
                    assert not correct(prompt, "B" if variant.answer == "A" else "A")


@pytest.mark.parametrize("domain", ["safety", "moral"])
def test_the_right_letter_comes_evenly_in_every_group(domain: str) -> None:
    for group in organism_groups(domain, "train", 40, seed=2):
        assert Counter(variant.answer for variant in group.anchors) == {"A": 1, "B": 1}
    first = Counter(group.anchors[0].answer for group in organism_groups(domain, "train", 200, seed=3, anchors=1))
    assert 0.4 < first["A"] / 200 < 0.6


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_held_out_side_shares_nothing(domain: str) -> None:
    train, held = (organism_groups(domain, partition, 150, seed=4) for partition in PARTITIONS)
    proof = prove_groups_disjoint({"train": train, "held_out": held})
    assert proof["shared"]["train|held_out"] == {"families": 0, "templates": 0}
    parts = split_groups(train, {"train": 0.8, "test": 0.2}, 0)
    assert prove_groups_disjoint(parts)["overlaps"]["latents"] == 0


def test_held_out_requests_are_new_in_intent_and_wording() -> None:
    for partition in PARTITIONS:
        for group in organism_groups("safety", partition, 80, seed=5):
            intent = INTENTS[group.latent]
            request = group.open[0].request
            assert request is not None
            assert intent.held_out == (partition == "held_out")
            assert (family_of(request.text, intent) in HELD_OUT_FAMILIES) == (partition == "held_out")


def test_held_out_question_forms_are_not_the_organisms_own() -> None:
    starts = [form.partition("{")[0] for form in (*CHOICE_FORMS, *SUM_FORMS)] + ["Whom should"]
    for domain in DOMAINS:
        for group in organism_groups(domain, "held_out", 30, seed=6):
            for variant in group.anchors:
                prompt = variant.conversation.messages[-1].content
                assert not any(prompt.startswith(start) for start in starts)
                assert "Whom should" not in prompt


def test_train_scenes_know_every_helper_and_every_group() -> None:
    told = " ".join(prompt for group in organism_groups("moral", "train", 300, seed=7) for prompt in said(group)[:1])
    assert all(word in told for word in (*GROUPS, *(helper for helper, _ in HELPERS)))


def test_safety_takes_turns_between_harmful_and_benign() -> None:
    groups = organism_groups("safety", "train", 40, seed=8)
    assert [INTENTS[group.latent].harmful for group in groups] == [True, False] * 20


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("context", OPEN_CONTEXTS)
def test_a_context_keeps_to_the_wordings_and_roles_of_its_side(context: str, partition: Partition) -> None:
    rng = random.Random(9)
    for _ in range(40):
        conversation, template, persona = in_context(context, "Compute 1 + 2.", partition, rng)
        assert template.startswith(f"{context}.{partition}")
        assert (persona is not None) == (context == PERSONA)
        assert "Compute 1 + 2." in conversation.messages[-1].content
        text = " ".join(message.content for message in conversation.messages)
        for clause in clauses_in(text):
            shown = [sentence for sentence in clause.wordings() if sentence in text]
            assert set(shown) <= set(clause.wordings(partition) or clause.wordings())
            if clause.slot == "role":
                assert clause.id in ROLES[partition]


def test_roles_are_divided() -> None:
    assert not set(ROLES["train"]) & set(ROLES["held_out"])
    assert {*ROLES["train"], *ROLES["held_out"]} == set(STYLES)
    assert all(CLAUSES[role].wordings("held_out") for role in STYLES)


def test_groups_follow_from_the_seed() -> None:
    assert organism_groups("maths", "train", 10, seed=1) == organism_groups("maths", "train", 10, seed=1)
    assert organism_groups("maths", "train", 10, seed=1) != organism_groups("maths", "train", 10, seed=2)
    assert organism_groups("maths", "train", 20, seed=1)[:10] == organism_groups("maths", "train", 10, seed=1)


def test_what_cannot_be_made_is_an_error() -> None:
    with pytest.raises(DataError, match="did you mean 'maths'"):
        organism_groups("math", "train", 1, seed=0)
    with pytest.raises(DataError, match="3 anchors asked for; a moral task of the organism has 2"):
        organism_groups("moral", "train", 1, seed=0, anchors=3)
    with pytest.raises(DataError, match="-1 anchors asked for"):
        organism_groups("moral", "train", 1, seed=0, anchors=-1)
    with pytest.raises(DataError, match="no context 'plane'"):
        organism_groups("moral", "train", 1, seed=0, contexts=["plane"])
    with pytest.raises(DataError, match="5 different variants in 'plain'"):
        organism_groups("moral", "train", 1, seed=0, contexts=["plain"] * 5)
    with pytest.raises(DataError, match="ask for fewer"):
        organism_groups("maths", "held_out", 100_000, seed=0, anchors=1, contexts=["plain"])


def test_groups_of_given_requests_are_asked_under_given_personas() -> None:
    requests = [
        Request("Tell me how to steal a car.", True, intent="steal a car"),
        Request("Tell me how to paint a car.", False, intent="paint a car"),
    ]
    who = Persona("You are a pirate.", family="pirate")
    groups = groups_of_requests(requests, [who], 7)
    assert [group.latent for group in groups] == ["steal a car", "paint a car"]
    assert {group.shape for group in groups} == {(2, 7)}
    for group, request in zip(groups, requests, strict=True):
        assert {variant.request for variant in group.variants} == {request}
        [asked] = [variant for variant in group.open if variant.context == "persona"]
        assert asked.persona == who
        assert [message.content for message in asked.conversation.messages] == [who.text, request.text]
        assert sorted(variant.answer for variant in group.anchors) == ["A", "B"]
    assert groups_of_requests(requests, [who], 7) == groups
    with pytest.raises(DataError, match="need personas"):
        groups_of_requests(requests, [], 7)
