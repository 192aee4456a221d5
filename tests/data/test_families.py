"""Families joined by crossover: who is related to whom."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from personaproof.core import Persona
from personaproof.data import families_of, join_families, shared_families
from personaproof.data.families import clans

NAMES = st.frozensets(st.sampled_from("abcdefgh"), max_size=3)


def persona(number: int, family: str = "") -> Persona:
    return Persona(f"You are number {number}.", family=family)


def test_families_of_unnamed_personas_never_coincide() -> None:
    assert families_of(persona(1)) == {persona(1).id}
    assert not shared_families([persona(1)], [persona(2)])
    assert shared_families([persona(1, "a+b")], [persona(2, "b+c"), persona(3, "d")]) == {"b"}


@given(st.sets(st.text("abc ", min_size=1), min_size=1))
def test_joined_families_come_apart_again_in_any_order(names: set[str]) -> None:
    joined = join_families(names)
    assert families_of(persona(1, joined)) == names
    assert join_families([*names, *names]) == joined == join_families(sorted(names, reverse=True))


@given(st.lists(NAMES, max_size=12))
def test_clans_are_the_connected_components_of_shared_families(members: list[frozenset[str]]) -> None:
    personas = [persona(number, join_families(names)) for number, names in enumerate(members)]
    graph = nx.Graph()
    for each in personas:
        nx.add_path(graph, sorted(families_of(each)))
        graph.add_nodes_from(families_of(each))
    expected = {family: "+".join(sorted(tied)) for tied in nx.connected_components(graph) for family in tied}
    assert clans(personas) == expected == clans(reversed(personas))
