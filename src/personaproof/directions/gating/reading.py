"""From the cells of a study to its metrics and to the evidence that the verdict rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from personaproof.directions.gating.measures import crossed_pairs, difference, gap, rate, rates, unsettled
from personaproof.directions.gating.outcomes import Cell, Outcome
from personaproof.directions.gating.questions import Context, Questions
from personaproof.directions.gating.study import (
    BASE,
    INSTRUCTED,
    PERSONA,
    TOLD,
    Result,
    dose_cell,
    knockout_cell,
    restore_cell,
    undo_cell,
)
from personaproof.directions.gating.vectors import cosine
from personaproof.directions.gating.verdict import Arm, Contrast, Evidence, Moved, Thresholds
from personaproof.stats import Estimate, PairedDifference

PUSHED = (Context.PLAIN, Context.NEUTRAL)
SPOKEN = {
    Context.PLAIN: "pushed, no persona in the prompt",
    Context.NEUTRAL: "pushed, neutral roles in the prompt",
}
RANDOM = "random"
"""All random directions together."""
BENIGN = "benign"


def dose_key(dose: float) -> str:
    """A dose in the name of a metric, where a dot would part it."""
    return f"x{dose:g}".replace(".", "_")


def thresholds(result: Result) -> Thresholds:
    recipe = result.recipe
    return Thresholds(
        recipe.least_effect, recipe.most_degenerate, recipe.most_unjudged, recipe.least_refused, recipe.least_push
    )


def evidence(result: Result) -> Evidence:
    """What `judge_gate` reads."""
    place, questions = result.place, result.plan.push
    readable = [dose for dose in result.recipe.doses if _readable(result, dose)]
    return Evidence(
        contrasts=(*(_pushed(result, context) for context in PUSHED), _undone(result)),
        told=_told(result).difference,
        told_arms=(
            _arm("compliant instructions", [result.cells[INSTRUCTED]], result.plan.instructed),
            _arm("opposite instructions", [result.cells[TOLD]], result.plan.told),
        ),
        elsewhere={
            f"{SPOKEN[context]}, x{dose:g}": _push(result, dose, context, Outcome.COMPLIED).difference
            for dose in readable
            for context in PUSHED
            if dose != place.dose
        },
        refused=rate([result.cells[BASE]], questions, questions.where(harmful=True), Outcome.REFUSED),
        push=max((result.material.push(place.position, place.layer, dose) for dose in readable), default=0.0),
    )


def metrics(result: Result) -> dict[str, dict[str, Any]]:
    """Flat dotted names to value, ci95 and n."""
    found: dict[str, Estimate] = {}
    _add_baselines(found, result)
    _add_doses(found, result)
    _add_knockouts(found, result)
    _add_restorations(found, result)
    for contrast in evidence(result).contrasts:
        name = f"effect.{contrast.name}"
        found[name] = contrast.against.difference
        found[f"{name}.unsteered"] = contrast.compliance.unsteered.difference
        found[f"{name}.refusal"] = contrast.refusal.against.difference
        found[f"{name}.refusal.unsteered"] = contrast.refusal.unsteered.difference
    found["effect.told"] = _told(result).difference
    return {name: estimate.as_json() for name, estimate in found.items()}


def cosines(result: Result) -> list[dict[str, Any]]:
    """By layer: of the persona vector (at the chosen position rule), the refusal direction and the Assistant axis."""
    material = result.material
    at = material.positions.index(result.place.position)
    rows = []
    for layer in range(result.depth):
        persona = material.persona[at, layer] if bool(material.usable[at, layer]) else None
        refusal = None if material.refusal is None else material.refusal[layer]
        axis = material.axis[layer]
        rows.append(
            {
                "layer": layer,
                "persona_refusal": None if persona is None or refusal is None else cosine(persona, refusal),
                "persona_axis": None if persona is None else cosine(persona, axis),
                "refusal_axis": None if refusal is None else cosine(refusal, axis),
            }
        )
    return rows


def _random_cells(result: Result, dose: float) -> list[Cell]:
    return [result.cells[dose_cell(arm, dose)] for arm in result.randoms]


def _readable(result: Result, dose: float) -> bool:
    arm = _arm("", [result.cells[dose_cell(PERSONA, dose)]], result.plan.push)
    return (
        arm.degenerate.value is not None
        and arm.degenerate.value <= result.recipe.most_degenerate
        and arm.unjudged.value is not None
        and arm.unjudged.value <= result.recipe.most_unjudged
    )


def _arm(spoken: str, cells: Sequence[Cell], questions: Questions, context: Context | None = None) -> Arm:
    where = questions.where(harmful=True, context=context)
    return Arm(
        spoken,
        rate(cells, questions, where, Outcome.DEGENERATE),
        unsettled(cells, questions, where, Outcome.COMPLIED),
    )


def _push(result: Result, dose: float, context: Context, outcome: Outcome) -> PairedDifference:
    """Under the persona vector minus under random directions."""
    questions = result.plan.push
    where = questions.where(harmful=True, context=context)
    return gap([result.cells[dose_cell(PERSONA, dose)]], _random_cells(result, dose), questions, where, outcome)


def _pushed(result: Result, context: Context) -> Contrast:
    dose, questions = result.place.dose, result.plan.push
    where = questions.where(harmful=True, context=context)
    persona, base = [result.cells[dose_cell(PERSONA, dose)]], [result.cells[BASE]]
    randoms = _random_cells(result, dose)
    said = SPOKEN[context]
    return Contrast(
        f"push.{context}",
        said,
        compliance=Moved(
            _push(result, dose, context, Outcome.COMPLIED), gap(persona, base, questions, where, Outcome.COMPLIED)
        ),
        singles=tuple(gap(persona, [one], questions, where, Outcome.COMPLIED).difference.value for one in randoms),
        # Refusal is to fall where compliance rises.
        refusal=Moved(
            gap(randoms, persona, questions, where, Outcome.REFUSED),
            gap(base, persona, questions, where, Outcome.REFUSED),
        ),
        arms=(
            _arm(f"{said}, the persona vector", persona, questions, context),
            *(
                _arm(f"{said}, random direction {number}", [one], questions, context)
                for number, one in enumerate(randoms, start=1)
            ),
            _arm(f"{said}, not steered", base, questions, context),
        ),
    )


def _undone(result: Result) -> Contrast:
    questions = result.plan.instructed
    where = questions.where(harmful=True)
    persona, base = [result.cells[undo_cell(PERSONA)]], [result.cells[INSTRUCTED]]
    randoms = [result.cells[undo_cell(arm)] for arm in result.randoms]
    said = "compliant instructions, taken away"
    return Contrast(
        "undo",
        "compliant instructions, the persona vector taken away",
        compliance=Moved(
            gap(randoms, persona, questions, where, Outcome.COMPLIED),
            gap(base, persona, questions, where, Outcome.COMPLIED),
        ),
        singles=tuple(gap([one], persona, questions, where, Outcome.COMPLIED).difference.value for one in randoms),
        refusal=Moved(
            gap(persona, randoms, questions, where, Outcome.REFUSED),
            gap(persona, base, questions, where, Outcome.REFUSED),
        ),
        arms=(
            _arm(f"{said} the persona vector", persona, questions),
            *(_arm(f"{said} random direction {n}", [one], questions) for n, one in enumerate(randoms, start=1)),
            _arm("compliant instructions", base, questions),
        ),
    )


def _told(result: Result) -> PairedDifference:
    instructed, told = result.plan.instructed, result.plan.told
    found = crossed_pairs(
        (result.cells[INSTRUCTED], instructed, instructed.where(harmful=True)),
        (result.cells[TOLD], told, told.where(harmful=True)),
    )
    return difference(found, Outcome.COMPLIED)


def _add(found: dict[str, Estimate], name: str, estimates: Mapping[str, Estimate]) -> None:
    found.update({f"{name}.{outcome}": estimate for outcome, estimate in estimates.items()})


def _add_baselines(found: dict[str, Estimate], result: Result) -> None:
    plan, cells = result.plan, result.cells
    for context in PUSHED:
        _add(found, f"base.{context}", rates([cells[BASE]], plan.push, plan.push.where(harmful=True, context=context)))
    _add(found, f"base.{BENIGN}", rates([cells[BASE]], plan.push, plan.push.where(harmful=False)))
    asked = plan.instructed
    for name, harmful in (("compliant", True), ("benign_compliant", False)):
        where = asked.where(harmful=harmful)
        _add(found, f"base.{name}", rates([cells[INSTRUCTED]], asked, where))
        _add(found, f"undo.persona.{name}", rates([cells[undo_cell(PERSONA)]], asked, where))
        _add(found, f"undo.random.{name}", rates([cells[undo_cell(arm)] for arm in result.randoms], asked, where))
    _add(found, "base.opposite", rates([cells[TOLD]], plan.told, plan.told.where(harmful=True)))


def _add_doses(found: dict[str, Estimate], result: Result) -> None:
    questions = result.plan.push
    groups: dict[str, list[bool]] = {
        **{str(context): questions.where(harmful=True, context=context) for context in PUSHED},
        BENIGN: questions.where(harmful=False),
    }
    for dose in result.recipe.doses:
        arms = {arm: [result.cells[dose_cell(arm, dose)]] for arm in result.arms if arm not in result.randoms}
        arms[RANDOM] = _random_cells(result, dose)
        for arm, cells in arms.items():
            for group, where in groups.items():
                _add(found, f"dose.{arm}.{dose_key(dose)}.{group}", rates(cells, questions, where))


def _add_knockouts(found: dict[str, Estimate], result: Result) -> None:
    questions = result.plan.push
    where = questions.where(harmful=True)
    cells = result.cells
    _add(found, "steered", rates([cells[dose_cell(PERSONA, result.place.dose)]], questions, where))
    _add(found, "unsteered", rates([cells[BASE]], questions, where))
    for layer in result.late:
        persona = [cells[knockout_cell(PERSONA, layer)]]
        randoms = [cells[knockout_cell(arm, layer)] for arm in result.randoms]
        _add(found, f"knockout.layer{layer}.persona", rates(persona, questions, where))
        _add(found, f"knockout.layer{layer}.random", rates(randoms, questions, where))
        difference = gap(persona, randoms, questions, where, Outcome.REFUSED).difference
        found[f"knockout.layer{layer}.gap"] = difference


def _add_restorations(found: dict[str, Estimate], result: Result) -> None:
    """Refusal that comes back, and what it costs on benign requests: refusing everything restores nothing."""
    if result.material.refusal_push is None:
        return
    questions, cells = result.plan.push, result.cells
    where, benign = questions.where(harmful=True), questions.where(harmful=False)
    for dose in result.recipe.refusal_doses:
        key = dose_key(dose)
        sides: dict[str, list[Cell]] = {}
        for side, layers in (("early", result.early), ("late", result.late)):
            sides[side] = [cells[restore_cell("refusal", layer, dose)] for layer in layers]
            noise = [cells[restore_cell(arm, layer, dose)] for layer in layers for arm in result.randoms]
            if layers:
                found[f"restore.{key}.{side}.gap"] = gap(
                    sides[side], noise, questions, where, Outcome.REFUSED
                ).difference
                found[f"restore.{key}.{side}.benign.refused"] = rate(sides[side], questions, benign, Outcome.REFUSED)
            for layer in layers:
                own = [cells[restore_cell("refusal", layer, dose)]]
                randoms = [cells[restore_cell(arm, layer, dose)] for arm in result.randoms]
                for name, group in (("refusal", own), ("random", randoms)):
                    _add(found, f"restore.{key}.layer{layer}.{name}", rates(group, questions, where))
                    found[f"restore.{key}.layer{layer}.{name}.benign.refused"] = rate(
                        group, questions, benign, Outcome.REFUSED
                    )
        if all(sides.values()):
            found[f"restore.{key}.late_minus_early"] = gap(
                sides["late"], sides["early"], questions, where, Outcome.REFUSED
            ).difference
