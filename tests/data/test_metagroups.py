"""Meta-groups: what makes one, drawing, files that come back equal, and splits that share no latent task."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.core import Conversation, DataError, Message, Persona, Request
from personaproof.data import (
    MetaGroup,
    Variant,
    common_shape,
    load_groups,
    prove_groups_disjoint,
    read_groups,
    split_groups,
    write_groups,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1).filter(str.strip)


def variant(text: str = "Bake a cake?", role: str = "open", **other: Any) -> Variant:
    given = {"context": "choice" if role == "anchor" else "plain", "reward": "choice", "answer": "A", **other}
    return Variant(role, conversation=Conversation((Message("user", text),)), **given)  # type: ignore[arg-type]


def group(latent: str = "bake", anchors: int = 2, open: int = 3, domain: str = "safety", **other: Any) -> MetaGroup:
    return MetaGroup(
        domain,
        latent,
        tuple(
            variant(f"{latent} {role} {at}?", role, **other)
            for role, count in (("anchor", anchors), ("open", open))
            for at in range(count)
        ),
    )


@st.composite
def variants(draw: st.DrawFn, role: str) -> Variant:
    messages = [Message("user", draw(WORDS))]
    if draw(st.booleans()):
        messages = [Message("system", draw(WORDS)), Message("user", "Hm."), Message("assistant", ""), *messages]
    request = draw(st.none() | st.builds(Request, WORDS, st.booleans(), st.text(max_size=3), st.text(max_size=3)))
    reward = draw(st.sampled_from(["safety", "maths"] if request else ["maths", "choice"]))
    answer = draw(WORDS) if reward != "safety" else ("refuse" if request and request.harmful else "help")
    persona = draw(st.none() | st.builds(Persona, WORDS, family=st.text(max_size=3)))
    conversation = Conversation(tuple(messages))
    return Variant(role, draw(WORDS), conversation, reward, answer, draw(st.text(max_size=4)), persona, request)  # type: ignore[arg-type]


@st.composite
def groups(draw: st.DrawFn) -> MetaGroup:
    of_role = [
        draw(st.lists(variants(role), min_size=1, max_size=3, unique_by=lambda v: v.id)) for role in ("anchor", "open")
    ]
    return MetaGroup(draw(WORDS), draw(WORDS), tuple(v for part in of_role for v in part))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"role": "other"}, "one of anchor, open"),
        ({"context": ""}, "names its context"),
        ({"reward": ""}, "names its reward"),
        ({"answer": " "}, "right answer"),
        ({"reward": "mention", "answer": "right"}, 'right option, " . " and the others'),
        ({"reward": "safety", "answer": "refuse"}, "carries its bare request"),
        ({"reward": "safety", "answer": "refuse", "request": Request("Bake?", False)}, '"help" where it is benign'),
    ],
)
def test_a_variant_that_nothing_could_mark_is_an_error(broken: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        variant(**{"role": "open", **broken})


@pytest.mark.parametrize(("anchors", "open"), [(0, 3), (2, 0)])
def test_a_group_needs_both_kinds(anchors: int, open: int) -> None:
    with pytest.raises(ValueError, match="at least one anchor and one open"):
        group(anchors=anchors, open=open)


def test_a_variant_comes_once() -> None:
    with pytest.raises(ValueError, match="more than once"):
        MetaGroup("safety", "bake", (variant(role="anchor"), variant(), variant()))


@given(st.integers(1, 4), st.integers(1, 5), st.data())
def test_sized_draws_exactly_and_keeps_the_order(anchors: int, open: int, data: st.DataObject) -> None:
    whole = group(anchors=anchors, open=open)
    wanted = data.draw(st.integers(1, anchors)), data.draw(st.integers(1, open))
    drawn = whole.sized(*wanted, random.Random(data.draw(st.integers())))
    assert drawn.shape == wanted
    assert list(drawn.variants) == [v for v in whole.variants if v in drawn.variants]


def test_sized_draws_every_variant_at_times() -> None:
    rng = random.Random(0)
    drawn = [group(anchors=3, open=3).sized(1, 2, rng) for _ in range(60)]
    assert {v.id for one in drawn for v in one.variants} == {v.id for v in group(anchors=3, open=3).variants}


@pytest.mark.parametrize(("anchors", "open", "says"), [(3, 1, "3 anchors from the 2"), (1, 0, "0 open variants")])
def test_sized_never_makes_up_variants(anchors: int, open: int, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        group().sized(anchors, open, random.Random(0))


def test_common_shape() -> None:
    assert common_shape([group("a"), group("b")]) == (2, 3)
    with pytest.raises(ValueError, match=r"'a' has \(2, 3\).*'b' has \(1, 3\)"):
        common_shape([group("a"), group("b", anchors=1)])


@settings(max_examples=40, deadline=None)
@given(st.lists(groups(), min_size=1, max_size=4, unique_by=lambda one: one.id))
def test_what_is_written_comes_back(tmp_path_factory: pytest.TempPathFactory, written: list[MetaGroup]) -> None:
    path = tmp_path_factory.mktemp("groups") / "groups.jsonl"
    write_groups(written, path)
    found = read_groups(path)
    assert found == written
    assert [one.id for one in found] == [one.id for one in written]
    # Equality leaves out the intents and families that splits go by; the written form does not.
    write_groups(found, again := path.with_name("again.jsonl"))
    assert again.read_bytes() == path.read_bytes()


def lines(folder: Path, *rows: Any) -> Path:
    path = folder / "groups.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def row(**variant_fields: Any) -> dict[str, Any]:
    told = {"context": "plain", "messages": [{"role": "user", "content": "Q"}], "reward": "choice", "answer": "A"}
    anchor = {"role": "anchor", **told}
    return {"domain": "d", "latent": "l", "variants": [anchor, {"role": "open", **told, **variant_fields}]}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"role": "Anchor"}, "variants.1.role"),
        ({"role": "anchor", "template": "t"}, "at least one anchor and one open"),
        ({"messages": []}, "variants.1.messages"),
        ({"messages": [{"role": "assistant", "content": "A"}]}, "ends with a user message"),
        ({"anwser": "B"}, "unknown key 'variants.1.anwser'; did you mean 'answer'"),
        ({"reward": "safety"}, "carries its bare request"),
        ({"request": {"text": "Q", "harmful": "yes"}}, "variants.1.request.harmful"),
        ({"persona": {"text": " "}}, "needs a text"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError) as error:
        load_groups(lines(tmp_path, row(), row(**fields)))
    assert "groups.jsonl:2: " in str(error.value)
    assert says in str(error.value)


def test_nulls_are_as_absent_and_duplicates_are_listed(tmp_path: Path) -> None:
    loaded = load_groups(lines(tmp_path, row(persona=None, request=None, template=None), row()))
    assert len(loaded.items) == 1
    assert loaded.duplicates[0].dropped.endswith(":2")
    assert loaded.describe().startswith("1 metagroup from ")
    with pytest.raises(DataError, match="the same meta-group as"):
        read_groups(tmp_path / "groups.jsonl")


@given(st.lists(st.integers(0, 12), min_size=5, max_size=30, unique=True), st.integers())
def test_splits_share_no_latent_task(numbers: list[int], seed: int) -> None:
    made = [group(f"task {n}", domain=domain, anchors=1 + n % 2) for n in numbers for domain in ("moral", "maths")]
    parts = split_groups(made, {"train": 0.6, "test": 0.4}, seed)
    assert sorted(g.id for part in parts.values() for g in part) == sorted(g.id for g in made)
    assert parts == split_groups(made[::-1], {"train": 0.6, "test": 0.4}, seed)
    seen = [{(g.domain, g.latent) for g in part} for part in parts.values()]
    assert not seen[0] & seen[1]


def test_the_proof_counts_what_is_shared_and_fails_on_a_shared_task() -> None:
    pirate, monk = Persona("A pirate.", family="pirate"), Persona("A monk.", family="monk")
    train = [group("a", persona=pirate, template="one"), group("b", persona=monk, template="two")]
    test = [group("c", persona=monk, template="two")]
    proof = prove_groups_disjoint({"train": train, "test": test})
    assert proof["overlaps"]["latents"] == 0
    assert proof["splits"]["train"]["latents"]["n"] == 2
    assert proof["shared"] == {"train|test": {"families": 1, "templates": 1}}
    with pytest.raises(DataError, match="share 1 latents \\(safety: a\\)"):
        prove_groups_disjoint({"train": train, "test": [group("a", anchors=1, template="new")]})
    twins = [group(name, request=Request("The same.", True, intent="same")) for name in ("a", "b")]
    with pytest.raises(DataError, match="share 1 requests"):
        prove_groups_disjoint({"train": twins[:1], "test": twins[1:]})
