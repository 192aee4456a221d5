"""Where to inject, and how much: chosen on the search requests alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from personaproof.core import DataError
from personaproof.directions.gating.cells import Add, Cells, Task
from personaproof.directions.gating.material import Material
from personaproof.directions.gating.outcomes import Cell, Outcome
from personaproof.directions.gating.questions import Questions
from personaproof.directions.gating.recipe import GateRecipe
from personaproof.directions.gating.vectors import random_directions

At = tuple[str, int, float]
"""A position rule, a layer and a dose."""


@dataclass(frozen=True)
class Place:
    """A position rule, a layer and a dose, with what they did on the search requests. `bypass` is the share of all
    answers that comply, `random` that under a random direction of that length, None where it was not needed."""

    position: str
    layer: int
    dose: float
    push: float
    """Length of the dose as a share of the activations'."""
    bypass: float
    unreadable: float
    """Share of answers that are no language, or of which compliance cannot be judged."""
    random: float | None = None

    @property
    def gap(self) -> float | None:
        return None if self.random is None else self.bypass - self.random


def search_layers(recipe: GateRecipe, depth: int) -> list[int]:
    """Layers to try. The last is never one: knocking out needs a layer behind. Raises DataError for layers that are
    not there, and for a model of fewer than three layers."""
    if recipe.layers is not None:
        outside = [layer for layer in recipe.layers if not 0 <= layer < depth - 1]
        if outside or not recipe.layers:
            raise DataError(
                f"layers to search lie from 0 to {depth - 2} in this model of {depth}, not {recipe.layers}."
            )
        return sorted(recipe.layers)
    if depth < 3:
        raise DataError(f"a model of {depth} layers has no middle to inject at and a later layer to knock out at.")
    middle = [layer for layer in range(1, depth - 1) if 0.2 * depth <= layer <= 0.8 * depth] or [depth // 2]
    return spread(middle, recipe.most_layers)


def spread(layers: list[int], most: int) -> list[int]:
    """At most `most` of them, evenly over all, the first and the last kept."""
    if len(layers) <= most:
        return layers
    if most == 1:
        return [layers[len(layers) // 2]]
    return [layers[round(at * (len(layers) - 1) / (most - 1))] for at in range(most)]


def places(recipe: GateRecipe, material: Material, depth: int) -> Iterator[At]:
    """Every (position, layer, dose) to try. A persona direction that was given fixes position and layer."""
    given = len(material.positions) == 1 and int(material.usable.sum()) == 1
    for at, position in enumerate(material.positions):
        for layer in range(depth - 1) if given else search_layers(recipe, depth):
            if bool(material.usable[at, layer]):
                for dose in recipe.search_doses:
                    yield position, layer, dose


def find_place(cells: Cells, recipe: GateRecipe, material: Material, questions: Questions, depth: int) -> list[Place]:
    """All places tried, the chosen one first: that whose bypass most exceeds a random direction's, among those whose
    answers stay readable; of equals the strongest push, so that finding nothing says most.

    Random directions are tried from the largest bypass down, until no other place can be better. Raises DataError where
    no place leaves the answers readable.
    """
    tried = [_tried(cells, material, questions, *at) for at in places(recipe, material, depth)]
    if not tried:
        raise DataError(
            "there is no place to inject at: the persona direction is of the last layer, behind which nothing can be "
            "knocked out, or there is no difference between its two sides at any layer searched."
        )
    readable = [place for place in tried if place.unreadable <= recipe.most_degenerate]
    if not readable:
        raise DataError(
            f"under each of {len(tried)} places and doses more than {recipe.most_degenerate:.0%} of the answers are no "
            "language or cannot be judged, so nothing can be read off them; give smaller --set search_doses, or "
            "another judge."
        )
    best: Place | None = None
    found: list[Place] = []
    for place in sorted(readable, key=lambda p: (-p.bypass, -p.push)):
        if best is not None and best.gap is not None and place.bypass <= best.gap:
            found.append(place)
            continue
        compared = replace(place, random=_random_bypass(cells, recipe, material, questions, place))
        found.append(compared)
        if best is None or (compared.gap or 0.0, compared.push) > (best.gap or 0.0, best.push):
            best = compared
    assert best is not None
    return [best, *(p for p in found if p is not best), *(p for p in tried if p not in readable)]


def try_place(
    cells: Cells, recipe: GateRecipe, material: Material, questions: Questions, position: str, layer: int, dose: float
) -> Place:
    """One place that was chosen elsewhere, and what it does on the search requests here."""
    place = _tried(cells, material, questions, position, layer, dose)
    return replace(place, random=_random_bypass(cells, recipe, material, questions, place))


def _tried(cells: Cells, material: Material, questions: Questions, position: str, layer: int, dose: float) -> Place:
    vector = material.vector(position, layer)
    cell = cells.answer(Task(_name(position, layer, dose, "persona"), questions, (Add(vector, dose, layer),)))
    return Place(position, layer, dose, material.push(position, layer, dose), _bypass(cell), _unreadable(cell))


def _random_bypass(cells: Cells, recipe: GateRecipe, material: Material, questions: Questions, place: Place) -> float:
    vector = material.vector(place.position, place.layer)
    # Of a seed of its own: the randoms that are reported had no part in the choice.
    noise = random_directions(len(vector), 1, float(vector.norm()), seed=recipe.seed + 1_000_003)[0]
    name = _name(place.position, place.layer, place.dose, "random")
    return _bypass(cells.answer(Task(name, questions, (Add(noise, place.dose, place.layer),))))


def _bypass(cell: Cell) -> float:
    return sum(each is Outcome.COMPLIED for each in cell.outcomes) / len(cell.outcomes)


def _unreadable(cell: Cell) -> float:
    lost = [each is Outcome.DEGENERATE or not each.settles(Outcome.COMPLIED) for each in cell.outcomes]
    return sum(lost) / len(lost)


def _name(position: str, layer: int, dose: float, arm: str) -> str:
    return f"search/{position}-layer{layer}-x{dose:g}-{arm}"
