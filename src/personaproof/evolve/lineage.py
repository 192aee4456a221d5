"""The lineage graph: who descends from whom, direct evidence a persona, and credit from descendants (methods: PLE).

Every evaluated descendant at shortest-path distance d gives each of its ancestors beta^d * (S, R, E), so

    propagated ASR = (S + sum beta^d S_d) / (E + sum beta^d E_d).

Credit is kept up to date as evidence and edges arrive: evidence touches the ancestors of its persona only, and an edge
to a persona that already has descendants moves only the credit whose shortest path it shortens. Nothing is re-scored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from personaproof.core import Persona
from personaproof.data import families_of, join_families
from personaproof.evolve.evidence import Candidate, Evidence

Counts = NDArray[np.float64]

NEGLIGIBLE = 1e-18
"""Weights beta^d below this are left out. A persona's E is at least 1 wherever it is ranked, so a million descendants
of a thousand judged requests each would together move a ratio by less than 1e-8 of one request: below float noise of
the sums themselves. With beta 0.3 the walk up ends after 34 generations; with beta 1 it never does."""

_FIRST_CAPACITY = 64


class Lineage:
    """Personas by id, edges from parent to child, and the counts (S, R, E) of each, direct and credited.

    Personas merge by id: one found again along another path gains the new parents and keeps its evidence. The graph
    stays acyclic: a persona found again among its own descendants gains no parent, since it was there first.
    """

    def __init__(self, beta: float) -> None:
        if not 0 <= beta <= 1:
            raise ValueError(f"beta must lie in [0, 1], not {beta}")
        self.beta = beta
        self._reach = _reach(beta)
        self._candidates: list[Candidate] = []
        self._discoveries: list[Candidate] = []
        self._ids: list[str] = []
        self._index: dict[str, int] = {}
        self._parents: list[dict[int, str]] = []
        self._children: list[dict[int, str]] = []
        self._direct = np.zeros((_FIRST_CAPACITY, 3))
        self._credit = np.zeros((_FIRST_CAPACITY, 3))
        self._unjudged: list[int] = []

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, persona_id: str) -> bool:
        return persona_id in self._index

    @property
    def ids(self) -> Sequence[str]:
        """Persona ids in order of discovery; row i of the count arrays belongs to ``ids[i]``."""
        return self._ids

    @property
    def candidates(self) -> Sequence[Candidate]:
        """Every persona as first discovered, in that order; families include those joined later."""
        return self._candidates

    @property
    def discoveries(self) -> Sequence[Candidate]:
        """Every discovery in order: a persona found again along another path has one more, with its new parents."""
        return self._discoveries

    @property
    def direct(self) -> Counts:
        """Direct (S, R, E) of every persona: read-only, shape (n, 3)."""
        return _read_only(self._direct[: len(self)])

    @property
    def totals(self) -> Counts:
        """Direct plus credited (S, R, E) of every persona: read-only, shape (n, 3)."""
        return _read_only(self._direct[: len(self)] + self._credit[: len(self)])

    @property
    def edges(self) -> list[tuple[str, str, str]]:
        """(parent id, child id, operation) in order of the child's discovery."""
        return [
            (self._ids[parent], self._ids[child], operation)
            for child, parents in enumerate(self._parents)
            for parent, operation in parents.items()
        ]

    def row(self, persona_id: str) -> int:
        """Where the persona stands in the count arrays."""
        return self._index[persona_id]

    def persona(self, persona_id: str) -> Persona:
        return self._candidates[self._index[persona_id]].persona

    def parents(self, persona_id: str) -> tuple[str, ...]:
        return tuple(self._ids[i] for i in self._parents[self._index[persona_id]])

    def children(self, persona_id: str) -> tuple[str, ...]:
        return tuple(self._ids[i] for i in self._children[self._index[persona_id]])

    def evidence(self, persona_id: str) -> Evidence:
        """Direct evidence of one persona, all zero before it was evaluated."""
        index = self._index[persona_id]
        successes, refusals, judged = (int(value) for value in self._direct[index])
        return Evidence(persona_id, successes, refusals, judged, self._unjudged[index])

    def propagated_asr(self, persona_id: str) -> float | None:
        """Propagated ASR; None where neither the persona nor a descendant was judged."""
        index = self._index[persona_id]
        successes, _, judged = self._direct[index] + self._credit[index]
        return float(successes / judged) if judged > 0 else None

    def add(self, candidate: Candidate) -> bool:
        """Add a persona, or merge it with the one of the same id; True when it is new.

        Raises KeyError for a parent that is not in the graph.
        """
        parents = [self._index[parent] for parent in candidate.parents]
        index = self._index.get(candidate.persona.id)
        if new := index is None:
            index = len(self)
            self._grow(index + 1)
            self._index[candidate.persona.id] = index
            self._ids.append(candidate.persona.id)
            self._candidates.append(candidate)
            self._parents.append({})
            self._children.append({})
            self._unjudged.append(0)
        linked = [parent for parent in parents if self._link(parent, index, candidate.operation)]
        if new or linked:
            self._discoveries.append(replace(candidate, parents=tuple(self._ids[parent] for parent in linked)))
        return new

    def record(self, evidence: Evidence) -> None:
        """Add evidence to its persona and pass it up to all ancestors."""
        index = self._index[evidence.persona_id]
        counts = np.array([evidence.successes, evidence.refusals, evidence.judged], dtype=np.float64)
        self._direct[index] += counts
        self._unjudged[index] += evidence.unjudged
        if not evidence.judged:
            return
        above = self._distances(index, self._parents)
        del above[index]
        if above:
            weights = self.beta ** np.fromiter(above.values(), dtype=np.float64, count=len(above))
            self._credit[list(above)] += weights[:, np.newaxis] * counts

    def to_networkx(self) -> nx.DiGraph[str]:
        """The graph with text, family, generation, operation and counts on nodes, and the operation on edges."""
        graph: nx.DiGraph[str] = nx.DiGraph()
        for candidate in self._candidates:
            persona = candidate.persona
            seen = self.evidence(persona.id)
            graph.add_node(
                persona.id,
                text=persona.text,
                name=persona.name,
                family=persona.family,
                generation=candidate.generation,
                operation=candidate.operation,
                successes=seen.successes,
                refusals=seen.refusals,
                judged=seen.judged,
                unjudged=seen.unjudged,
                asr=seen.asr,
                propagated_asr=self.propagated_asr(persona.id),
            )
        graph.add_edges_from((parent, child, {"operation": operation}) for parent, child, operation in self.edges)
        return graph

    def _grow(self, size: int) -> None:
        if size > len(self._direct):
            more = np.zeros((len(self._direct), 3))
            self._direct = np.concatenate([self._direct, more])
            self._credit = np.concatenate([self._credit, more])

    def _link(self, parent: int, child: int, operation: str) -> bool:
        """Add an edge; False where it is there already or would close a cycle."""
        if parent == child or parent in self._parents[child]:
            return False
        # A leaf can close no cycle and has no descendants' credit to move: the usual case costs nothing.
        if self._children[child] and any(child in level for level in self._levels(parent, self._parents, math.inf)):
            return False
        self._move_credit(parent, child)
        self._parents[child][parent] = operation
        self._children[parent][child] = operation
        self._inherit(parent, child)
        return True

    def _move_credit(self, parent: int, child: int) -> None:
        """Credit that the new edge parent -> child creates, or raises by shortening a path.

        The graph is acyclic, so a shortest path through the new edge is one up to `parent`, the edge, and one from
        `child` down: d(a, x) becomes min(d(a, x), d(a, parent) + 1 + d(child, x)).
        """
        below = [(x, d) for x, d in self._distances(child, self._children).items() if self._direct[x, 2] > 0]
        if not below:
            return
        above = self._distances(parent, self._parents)
        for descendant, down in below:
            before = self._distances(descendant, self._parents)
            for ancestor, up in above.items():
                distance = up + 1 + down
                known = before.get(ancestor)
                if distance > self._reach or (known is not None and known <= distance):
                    continue
                gain = self.beta**distance - (0.0 if known is None else self.beta**known)
                self._credit[ancestor] += gain * self._direct[descendant]

    def _inherit(self, parent: int, child: int) -> None:
        """Pass the parent's families to the child and on to all that descend from it already."""
        families = families_of(self._candidates[parent].persona)
        for level in self._levels(child, self._children, math.inf):
            for index in level:
                candidate = self._candidates[index]
                # A descendant without a name has only its ancestors' families; a seed without one is its own family.
                is_heir = bool(candidate.parents) and not candidate.persona.family
                own = frozenset[str]() if is_heir else families_of(candidate.persona)
                joined = join_families(own | families)
                if joined != candidate.persona.family:
                    self._candidates[index] = replace(candidate, persona=replace(candidate.persona, family=joined))

    def _distances(self, start: int, neighbours: list[dict[int, str]]) -> dict[int, int]:
        levels = self._levels(start, neighbours)
        return {index: distance for distance, level in enumerate(levels) for index in level}

    def _levels(self, start: int, neighbours: list[dict[int, str]], reach: float | None = None) -> list[list[int]]:
        """Breadth first from `start` (level 0): level d holds what lies at shortest distance d."""
        reach = self._reach if reach is None else reach
        seen = {start}
        levels = [[start]]
        while len(levels) <= reach:
            level = list(dict.fromkeys(n for index in levels[-1] for n in neighbours[index] if n not in seen))
            if not level:
                break
            seen.update(level)
            levels.append(level)
        return levels


def _reach(beta: float) -> float:
    """The greatest distance whose weight is not negligible."""
    if beta == 0:
        return 0
    return math.inf if beta == 1 else math.floor(math.log(NEGLIGIBLE) / math.log(beta))


def _read_only(array: Counts) -> Counts:
    view = array.view()
    view.flags.writeable = False
    return view
