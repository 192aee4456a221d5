"""Splits: disjoint, complete, independent of order, stratified; and a proof that notices every kind of overlap."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.core import DataError, Persona, RecipeError, Request
from personaproof.data import prove_disjoint, shared_families, split_personas, split_requests

FRACTIONS = st.sampled_from(
    [
        {"all": 1.0},
        {"train": 0.5, "test": 0.5},
        {"search": 0.4, "train": 0.3, "evaluate": 0.3},
        {"most": 0.97, "few": 0.02, "rest": 0.01},
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> list[Request]:
    cells = draw(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.booleans()), min_size=4, max_size=60)
    )
    # Every third request names no intent and is its own.
    return [
        Request(f"text {i}", harmful, f"intent {intent}" if i % 3 else "", category)
        for i, (intent, category, harmful) in enumerate(cells)
    ]


_FAMILY = st.integers(1, 20)
_ONE = st.tuples(_FAMILY)
_SEVERAL = st.one_of(st.tuples(_FAMILY, _FAMILY), st.tuples(_FAMILY, _FAMILY, _FAMILY))


@st.composite
def personas(draw: st.DrawFn) -> list[Persona]:
    """Most of one family, some of none, some joined from two or three."""
    families = draw(st.lists(st.one_of(st.just(()), _ONE, _ONE, _ONE, _SEVERAL), min_size=4, max_size=40))
    return [
        Persona(f"You are {i}.", family="+".join(f"family {f}" for f in sorted(set(several))))
        for i, several in enumerate(families)
    ]


def intents(items: list[Request]) -> set[str]:
    return {item.intent or item.id for item in items}


@settings(deadline=None)
@given(requests(), FRACTIONS, st.integers(0, 2**40), st.randoms(use_true_random=False))
def test_request_splits_are_disjoint_complete_and_independent_of_order(
    items: list[Request], fractions: dict[str, float], seed: int, shuffler: random.Random
) -> None:
    if len(intents(items)) < len(fractions):
        with pytest.raises(DataError, match=r"intents cannot fill 3 splits \(.*bring more data"):
            split_requests(items, fractions, seed)
        return
    splits = split_requests(items, fractions, seed)
    assert list(splits) == list(fractions)
    assert Counter(r.id for split in splits.values() for r in split) == Counter(r.id for r in items)
    assert all(splits.values())
    assert sum(len(intents(split)) for split in splits.values()) == len(intents(items))

    shuffled = items.copy()
    shuffler.shuffle(shuffled)
    assert split_requests(shuffled, dict(reversed(fractions.items())), seed) == splits
    prove_disjoint(splits)


@settings(deadline=None)
@given(personas(), FRACTIONS, st.integers(0, 2**40))
def test_persona_splits_never_cut_a_family(items: list[Persona], fractions: dict[str, float], seed: int) -> None:
    related = nx.Graph()
    related.add_nodes_from(p.id for p in items)
    related.add_edges_from((p.id, q.id) for p, q in combinations(items, 2) if shared_families([p], [q]))
    if nx.number_connected_components(related) < len(fractions):
        with pytest.raises(DataError, match="lineage families cannot fill"):
            split_personas(items, fractions, seed)
        return
    splits = split_personas(items, fractions, seed)
    assert sorted(p.id for split in splits.values() for p in split) == sorted(p.id for p in items)
    assert not any(shared_families(one, other) for one, other in combinations(splits.values(), 2))
    assert all(splits.values())
    prove_disjoint(splits)
    assert split_personas(items[::-1], fractions, seed) == splits


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 30), min_size=1),
    st.floats(0.1, 0.9),
    st.integers(0, 2**30),
)
def test_each_category_is_cut_near_the_fractions(sizes: dict[str, int], share: float, seed: int) -> None:
    items = [Request(f"{category} {i}", True, category=category) for category, n in sizes.items() for i in range(n)]
    if len(items) < 2:
        return
    split = split_requests(items, {"in": share, "out": 1 - share}, seed)
    counts = Counter(r.category for r in split["in"])
    assert abs(len(split["in"]) - share * len(items)) <= 1 + 1e-9
    for category, n in sizes.items():
        assert abs(counts[category] - share * n) < 2 + 1e-9


def test_another_seed_gives_another_split() -> None:
    items = [Request(f"text {i}", True) for i in range(40)]
    halves = {"a": 0.5, "b": 0.5}
    assert split_requests(items, halves, 1) != split_requests(items, halves, 2)


@pytest.mark.parametrize(
    "fractions",
    [{}, {"a": 0.5}, {"a": 1.0, "b": 0.0}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}, {"a": 0.7, "b": 0.7}],
)
def test_fractions_must_be_positive_and_sum_to_one(fractions: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match="sum to 1"):
        split_requests([Request("x", True), Request("y", True)], fractions, 0)


A, B = Request("one", True, "i1"), Request("two", True, "i2")
P, Q = Persona("You are P.", family="f1"), Persona("You are Q.", family="f2")


def test_the_proof_counts_hashes_and_is_json() -> None:
    proof = prove_disjoint({"train": [A, P], "test": [Q, B]})
    assert json.loads(json.dumps(proof)) == proof
    assert proof["overlaps"] == dict.fromkeys(("requests", "request_texts", "intents", "personas", "families"), 0)
    train = proof["splits"]["train"]
    assert train["intents"] == {"n": 1, "sha256": hashlib.sha256(b"i1\n").hexdigest()}
    assert train["requests"]["sha256"] == hashlib.sha256(f"{A.id}\n".encode()).hexdigest()
    assert prove_disjoint({"train": (P, A), "test": {B, Q}}) == proof


@pytest.mark.parametrize(
    ("first", "second", "kind"),
    [
        ([A], [Request("one", True, "i3")], "requests"),
        ([A], [Request("ONE", False, "i3")], "request_texts"),
        ([A], [Request("three", False, "i1")], "intents"),
        ([P], [Persona("You  are P.", family="f3")], "personas"),
        ([P], [Persona("You are R.", family="f1")], "families"),
        ([P], [Persona("You are R.", family="f1+f9")], "families"),
        ([Persona("You are S.", family="f0+f1")], [Persona("You are R.", family="f1+f9")], "families"),
    ],
)
def test_the_proof_fails_on_every_kind_of_overlap(
    first: list[Request | Persona], second: list[Request | Persona], kind: str
) -> None:
    with pytest.raises(DataError, match=f"'train' and 'test' share 1 {kind} "):
        prove_disjoint({"other": [B, Q], "train": first, "test": second})


def test_families_joined_by_a_child_go_to_one_split() -> None:
    items = [Persona(f"You are {i}.", family=f"f{i % 7}") for i in range(21)]
    halves = {"a": 0.5, "b": 0.5}
    tied = split_personas([*items, Persona("You are both.", family="f0+f1")], halves, 0)
    assert {p.family for p in tied["a"]} ^ {p.family for p in tied["b"]} == {f"f{i}" for i in range(7)} | {"f0+f1"}
    side = next(split for split in tied.values() if any(p.family == "f0+f1" for p in split))
    assert {"f0", "f1"} <= {p.family for p in side}


def test_the_proof_counts_the_families_behind_a_joined_one() -> None:
    proof = prove_disjoint({"train": [Persona("You are R.", family="a+b"), Persona("You are S.", family="a")]})
    assert proof["splits"]["train"]["families"] == {"n": 2, "sha256": hashlib.sha256(b"a\nb\n").hexdigest()}


def test_an_empty_split_proves_nothing() -> None:
    with pytest.raises(DataError, match="'test' is empty"):
        prove_disjoint({"train": [A], "test": []})
