"""Lineage credit against a brute-force reference on random graphs, and the graph's own rules."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.core import Persona
from personaproof.data import families_of
from personaproof.evolve import Candidate, Evidence, Lineage

BETAS = st.sampled_from([0.0, 0.3, 0.9, 1.0])


def persona(name: object, family: str = "") -> Persona:
    return Persona(f"You are number {name}.", family=family)


def candidate(name: object, *parents: object, family: str = "") -> Candidate:
    operation = ("seed", "rewrite", "crossover")[min(len(parents), 2)]
    return Candidate(persona(name, family), tuple(persona(p).id for p in parents), operation)


def reference_totals(lineage: Lineage) -> np.ndarray:
    """Every descendant at shortest-path distance d gives beta^d (S, R, E): by networkx, over all pairs."""
    graph = nx.DiGraph()
    graph.add_nodes_from(lineage.ids)
    graph.add_edges_from((parent, child) for parent, child, _ in lineage.edges)
    row = {key: i for i, key in enumerate(lineage.ids)}
    totals = np.zeros((len(row), 3))
    for ancestor in lineage.ids:
        for descendant, distance in nx.single_source_shortest_path_length(graph, ancestor).items():
            weight = lineage.beta**distance if distance else 1.0
            totals[row[ancestor]] += weight * lineage.direct[row[descendant]]
    return totals


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, tuple[int, ...]]]:
    """Interleaved discoveries (some of personas there already, some that would close a cycle) and evidence."""
    steps: list[tuple[str, tuple[int, ...]]] = [("add", (0,))]
    size = 1
    for _ in range(draw(st.integers(1, 35))):
        kind = draw(st.sampled_from(["add", "add", "rediscover", "record", "record"]))
        known = st.integers(0, size - 1)
        if kind == "add":
            steps.append(("add", (size, *draw(st.lists(known, max_size=2, unique=True)))))
            size += 1
        elif kind == "rediscover":
            steps.append(("add", (draw(known), *draw(st.lists(known, min_size=1, max_size=2, unique=True)))))
        else:
            judged = draw(st.integers(0, 20))
            successes = draw(st.integers(0, judged))
            steps.append(("record", (draw(known), successes, draw(st.integers(0, judged - successes)), judged)))
    return steps


@given(histories(), BETAS)
@settings(max_examples=100, deadline=None)
def test_credit_equals_brute_force(steps: list[tuple[str, tuple[int, ...]]], beta: float) -> None:
    lineage = Lineage(beta)
    for kind, values in steps:
        if kind == "add":
            lineage.add(candidate(*values))
        else:
            name, *counts = values
            lineage.record(Evidence(persona(name).id, *counts))
        np.testing.assert_allclose(lineage.totals, reference_totals(lineage), rtol=1e-12, atol=1e-12)
    assert nx.is_directed_acyclic_graph(lineage.to_networkx())


def test_credit_in_closed_form() -> None:
    """a -> b -> d and a -> c -> d -> e: d counts once for a, at distance 2."""
    lineage = Lineage(0.5)
    for each in (
        candidate("a"),
        candidate("b", "a"),
        candidate("c", "a"),
        candidate("d", "b", "c"),
        candidate("e", "d"),
    ):
        assert lineage.add(each)
    lineage.record(Evidence(persona("a").id, 1, 3, 4))
    lineage.record(Evidence(persona("d").id, 6, 2, 8))
    lineage.record(Evidence(persona("e").id, 8, 0, 8))
    # S: 1 + 6/4 + 8/8; R: 3 + 2/4; E: 4 + 8/4 + 8/8
    np.testing.assert_allclose(lineage.totals[0], [3.5, 3.5, 7.0])
    assert lineage.propagated_asr(persona("a").id) == pytest.approx(0.5)
    assert lineage.propagated_asr(persona("b").id) == pytest.approx((3 + 2) / (4 + 2))
    assert lineage.evidence(persona("b").id).asr is None


def test_a_shorter_path_found_later_replaces_the_longer_one() -> None:
    lineage = Lineage(0.5)
    for each in (candidate("a"), candidate("b", "a"), candidate("c", "b")):
        lineage.add(each)
    lineage.record(Evidence(persona("c").id, 8, 0, 8))
    assert lineage.totals[0, 0] == 2
    assert not lineage.add(candidate("c", "a"))
    assert lineage.totals[0, 0] == 4
    assert lineage.parents(persona("c").id) == (persona("b").id, persona("a").id)


def test_depth_is_cut_only_where_the_weight_is_negligible() -> None:
    lineage = Lineage(0.3)
    lineage.add(candidate(0))
    for i in range(1, 60):
        lineage.add(candidate(i, i - 1))
    lineage.record(Evidence(persona(0).id, 0, 1, 1))
    lineage.record(Evidence(persona(59).id, 150, 0, 150))
    assert lineage.totals[0, 0] == pytest.approx(150 * 0.3**59, abs=1e-15)
    assert lineage.totals[59 - 20, 0] == pytest.approx(150 * 0.3**20, rel=1e-12)


def test_a_persona_found_among_its_descendants_gains_no_parent() -> None:
    lineage = Lineage(0.3)
    for each in (candidate("a"), candidate("b", "a"), candidate("c", "b")):
        lineage.add(each)
    assert not lineage.add(candidate("a", "c"))
    assert lineage.parents(persona("a").id) == ()
    assert len(lineage.discoveries) == 3
    assert not lineage.add(candidate("a", "a"))


def test_rediscovery_merges_by_id_and_is_kept_as_a_discovery() -> None:
    lineage = Lineage(0.3)
    for each in (candidate("a"), candidate("b"), candidate("c", "a")):
        lineage.add(each)
    assert not lineage.add(Candidate(Persona("  You are number   c. "), (persona("b").id,), "reframe", 4))
    assert len(lineage) == 3
    assert lineage.discoveries[-1].parents == (persona("b").id,)
    assert lineage.candidates[2].generation == 0
    assert set(lineage.edges) == {
        (persona("a").id, persona("c").id, "rewrite"),
        (persona("b").id, persona("c").id, "reframe"),
    }


def test_unknown_parent_raises_and_leaves_no_trace() -> None:
    lineage = Lineage(0.3)
    with pytest.raises(KeyError):
        lineage.add(candidate("b", "nobody"))
    assert len(lineage) == 0


def test_families_are_inherited_joined_and_spread_to_those_already_there() -> None:
    lineage = Lineage(0.3)
    for each in (candidate("a", family="x"), candidate("b", family="y"), candidate("c", "a"), candidate("d", "c")):
        lineage.add(each)
    assert families_of(lineage.persona(persona("d").id)) == {"x"}
    lineage.add(candidate("c", "b"))
    assert lineage.persona(persona("c").id).family == "x+y"
    assert families_of(lineage.persona(persona("d").id)) == {"x", "y"}
    assert families_of(lineage.persona(persona("a").id)) == {"x"}


def test_networkx_export_holds_evidence_and_operations() -> None:
    lineage = Lineage(0.3)
    lineage.add(candidate("a", family="x"))
    lineage.add(candidate("b", "a"))
    lineage.record(Evidence(persona("b").id, 3, 1, 4, unjudged=2))
    graph = lineage.to_networkx()
    assert graph.nodes[persona("b").id]["asr"] == 0.75
    assert graph.nodes[persona("b").id]["unjudged"] == 2
    assert graph.nodes[persona("a").id]["asr"] is None
    assert graph.nodes[persona("a").id]["propagated_asr"] == pytest.approx(0.75)
    assert graph.edges[persona("a").id, persona("b").id]["operation"] == "rewrite"


def test_evidence_refuses_impossible_counts() -> None:
    with pytest.raises(ValueError, match="cannot be"):
        Evidence("persona_x", 3, 2, 4)


@given(st.integers(0, 400))
@settings(max_examples=20, deadline=None)
def test_growth_keeps_counts(size: int) -> None:
    lineage = Lineage(0.3)
    for i in range(size):
        lineage.add(candidate(i))
        lineage.record(Evidence(persona(i).id, 1, 0, 1 + i))
    assert lineage.direct[:, 2].tolist() == [1 + i for i in range(size)]
