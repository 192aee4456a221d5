"""The gating study (2606.26161): does a compliant persona, as a direction, decide whether the model refuses?

Place and dose are chosen on search requests; everything that is reported is measured on requests of other intents. The
knockout is never at the layer of injection, where it would only take the injection back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from personaproof.core import Judge, Progress, StoreError
from personaproof.directions.gating.cells import Add, Cells, KnockOut, Task
from personaproof.directions.gating.kept import Kept
from personaproof.directions.gating.material import Material
from personaproof.directions.gating.outcomes import Cell
from personaproof.directions.gating.place import At, Place, find_place, places, spread, try_place
from personaproof.directions.gating.questions import Plan
from personaproof.directions.gating.recipe import GateRecipe
from personaproof.directions.gating.vectors import orthogonal_part, parallel_part, random_directions, scaled_to
from personaproof.directions.structure import anatomy
from personaproof.engines import TransformersEngine

PERSONA, OPPOSITE, OFF_AXIS, ALONG_AXIS = "persona", "opposite", "off_axis", "along_axis"
UNDO_DOSE = 1.0
"""Times the persona vector, subtracted under compliant instructions: what parts the two sides it was read from."""


@dataclass(frozen=True, eq=False)
class Result:
    """Every cell by name. `searched` has the chosen place first; `early` and `late` are layers at which the refusal
    direction was added, `late` also those of the knockout."""

    recipe: GateRecipe
    plan: Plan
    material: Material
    searched: tuple[Place, ...]
    arms: tuple[str, ...]
    early: tuple[int, ...]
    late: tuple[int, ...]
    cells: Mapping[str, Cell]
    depth: int

    @property
    def place(self) -> Place:
        return self.searched[0]

    @property
    def randoms(self) -> tuple[str, ...]:
        return tuple(f"random{number}" for number in range(1, self.recipe.randoms + 1))


def planned_answers(recipe: GateRecipe, plan: Plan, material: Material, depth: int, at: At | None = None) -> int:
    """Answers under interventions, at most: the search stops comparing when nothing better can come, and where layers
    lie before and behind the place depends on the place."""
    tried = 1 if at else len(list(places(recipe, material, depth)))
    beside = 1 + recipe.randoms
    around = min(2 * recipe.later_layers, depth - 1)
    pushes = 1 + (4 + recipe.randoms) * len(recipe.doses) + beside * min(recipe.later_layers, depth - 2)
    pushes += beside * around * len(recipe.refusal_doses) if material.refusal_push is not None else 0
    return (
        2 * tried * len(plan.search)
        + pushes * len(plan.push)
        + (1 + beside) * len(plan.instructed)
        + len(plan.told)
    )  # fmt: skip


def run_study(
    engine: TransformersEngine,
    judge: Judge,
    recipe: GateRecipe,
    plan: Plan,
    material: Material,
    kept: Kept,
    progress: Progress,
    at: At | None = None,
) -> Result:
    """Search, then every cell. What `kept` holds already is not asked again; `at` takes the place of the search. Raises
    DataError where no place leaves the answers readable, and GenerationError and StoreError as engine and folder do."""
    depth = anatomy(engine).depth
    total = planned_answers(recipe, plan, material, depth, at)
    cells = Cells(engine, judge, recipe.sampling.build(), recipe.seed, kept, progress, total)
    searched = (
        [try_place(cells, recipe, material, plan.search, *at)]
        if at
        else find_place(cells, recipe, material, plan.search, depth)
    )
    found = cells.answer_all(_tasks(recipe, plan, material, searched[0], depth))
    progress(total, total)
    return _result(recipe, plan, material, searched, found, depth)


def kept_study(recipe: GateRecipe, plan: Plan, place: Place, depth: int, kept: Kept) -> Result:
    """A finished study as its folder holds it, without the model. Raises StoreError where a piece is missing or is of
    other questions, vectors, doses or layers."""
    directions = kept.read_tensors("directions")
    if directions is None:
        raise _unfinished(kept, "directions")
    material = Material.of(*directions)
    found = {}
    for task in _tasks(recipe, plan, material, place, depth):
        cell = task.read(kept)
        if cell is None:
            raise _unfinished(kept, task.name)
        found[task.name] = cell
    return _result(recipe, plan, material, [place], found, depth)


def _unfinished(kept: Kept, piece: str) -> StoreError:
    return StoreError(
        f"{kept.folder} holds no {piece}, so that study is not whole; run its command again to finish it."
    )


def _result(
    recipe: GateRecipe,
    plan: Plan,
    material: Material,
    searched: Sequence[Place],
    cells: Mapping[str, Cell],
    depth: int,
) -> Result:
    early, late = _around(recipe, searched[0], depth)
    arms = tuple(arm_vectors(recipe, material, searched[0]))
    return Result(recipe, plan, material, tuple(searched), arms, tuple(early), tuple(late), cells, depth)


def _around(recipe: GateRecipe, place: Place, depth: int) -> tuple[list[int], list[int]]:
    """Layers before and behind the place. Not the embeddings, which no block has read yet."""
    early = spread(list(range(1, place.layer)), recipe.later_layers)
    return early, spread(list(range(place.layer + 1, depth)), recipe.later_layers)


def _tasks(recipe: GateRecipe, plan: Plan, material: Material, place: Place, depth: int) -> list[Task]:
    vectors = arm_vectors(recipe, material, place)
    early, late = _around(recipe, place, depth)
    tasks = [
        *_baselines(plan),
        *_doses(recipe, plan, vectors, place),
        *_undo(recipe, plan, vectors, place),
        *_knockouts(recipe, plan, vectors, place, late),
    ]
    if material.refusal_push is not None:
        tasks += _restorations(recipe, plan, vectors[PERSONA], material.refusal_push, place, [*early, *late])
    return tasks


def arm_vectors(recipe: GateRecipe, material: Material, place: Place) -> dict[str, Tensor]:
    """What is added at the place, by arm, all of one length: the persona vector, its negative, its parts across and
    along the Assistant axis at that layer, and random directions."""
    persona = material.vector(place.position, place.layer)
    length, axis = float(persona.norm()), material.axis[place.layer]
    randoms = random_directions(len(persona), recipe.randoms, length, recipe.seed)
    return {
        PERSONA: persona,
        OPPOSITE: -persona,
        OFF_AXIS: scaled_to(orthogonal_part(persona, axis), length),
        ALONG_AXIS: scaled_to(parallel_part(persona, axis), length),
        **{f"random{number}": each for number, each in enumerate(randoms, start=1)},
    }


def dose_cell(arm: str, dose: float) -> str:
    return f"dose/{arm}-x{dose:g}"


def undo_cell(arm: str) -> str:
    return f"undo/{arm}"


def knockout_cell(arm: str, layer: int) -> str:
    return f"knockout/{arm}-layer{layer}"


def restore_cell(arm: str, layer: int, dose: float) -> str:
    return f"restore/{arm}-layer{layer}-x{dose:g}"


BASE, INSTRUCTED, TOLD = "base/push", "base/instructed", "base/told"


def _baselines(plan: Plan) -> list[Task]:
    return [Task(BASE, plan.push), Task(INSTRUCTED, plan.instructed), Task(TOLD, plan.told)]


def _doses(recipe: GateRecipe, plan: Plan, vectors: Mapping[str, Tensor], place: Place) -> list[Task]:
    return [
        Task(dose_cell(arm, dose), plan.push, (Add(vector, dose, place.layer),))
        for arm, vector in vectors.items()
        for dose in recipe.doses
    ]


def _random_arms(recipe: GateRecipe) -> list[str]:
    return [f"random{number}" for number in range(1, recipe.randoms + 1)]


def _undo(recipe: GateRecipe, plan: Plan, vectors: Mapping[str, Tensor], place: Place) -> list[Task]:
    return [
        Task(undo_cell(arm), plan.instructed, (Add(vectors[arm], -UNDO_DOSE, place.layer),))
        for arm in (PERSONA, *_random_arms(recipe))
    ]


def _knockouts(
    recipe: GateRecipe, plan: Plan, vectors: Mapping[str, Tensor], place: Place, late: list[int]
) -> list[Task]:
    push = Add(vectors[PERSONA], place.dose, place.layer)
    return [
        Task(knockout_cell(arm, layer), plan.push, (push, KnockOut(vectors[arm], layer)))
        for layer in late
        for arm in (PERSONA, *_random_arms(recipe))
    ]


def _restorations(
    recipe: GateRecipe, plan: Plan, persona: Tensor, refusal: Tensor, place: Place, layers: list[int]
) -> list[Task]:
    """One direction at every layer, in proportion to the activations there, so that early and late are of one
    strength. `refusal` is (layers, width)."""
    push = Add(persona, place.dose, place.layer)
    tasks = []
    for layer in layers:
        # Not the randoms that the persona is held against: they have another length.
        noise = random_directions(refusal.shape[1], recipe.randoms, float(refusal[layer].norm()), recipe.seed + 1)
        arms = {"refusal": refusal[layer], **dict(zip(_random_arms(recipe), noise, strict=True))}
        tasks += [
            Task(restore_cell(arm, layer, dose), plan.push, (push, Add(vector, dose, layer)))
            for dose in recipe.refusal_doses
            for arm, vector in arms.items()
        ]
    return tasks
