"""What summary.json holds of a study: verdict, place, metrics, and what the page needs to draw them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from personaproof.core import Judge
from personaproof.directions.gating.material import INSTRUCTED
from personaproof.directions.gating.questions import Plan
from personaproof.directions.gating.reading import PUSHED, RANDOM, cosines, dose_key, evidence, metrics, thresholds
from personaproof.directions.gating.study import ALONG_AXIS, OFF_AXIS, OPPOSITE, PERSONA, Result
from personaproof.directions.gating.verdict import GateVerdict, judge_gate
from personaproof.engines import TransformersEngine

SCHEMA = 2
"""Rises with the rules by which answers are classed and read; runs of another are not continued or compared."""


def gate_summary(result: Result, engine: TransformersEngine, judge: Judge) -> dict[str, Any]:
    """JSON values only; equal results give equal summaries."""
    verdict = judge_gate(evidence(result), thresholds(result))
    numbers = metrics(result)
    place = result.place
    return {
        "schema_version": SCHEMA,
        "model": {"name": engine.name, "fingerprint": engine.fingerprint},
        "judge": judge.id,
        "verdict": {
            "answer": verdict.answer,
            "strength": verdict.strength,
            "sentence": sentence(verdict, result),
            "carried": list(verdict.carried),
            "moves_refusal": list(verdict.moves_refusal),
            "reasons": list(verdict.reasons),
            "p_adjusted": dict(verdict.p_adjusted),
            "thresholds": asdict(thresholds(result)),
        },
        "place": {**asdict(place), "depth": result.depth},
        "searched": [asdict(each) for each in result.searched],
        "doses": [
            {"dose": dose, "key": dose_key(dose), "push": result.material.push(place.position, place.layer, dose)}
            for dose in result.recipe.doses
        ],
        "arms": [PERSONA, RANDOM, OPPOSITE, OFF_AXIS, ALONG_AXIS],
        "contexts": [str(context) for context in PUSHED],
        "knockout_layers": list(result.late),
        "restore_layers": {"early": list(result.early), "late": list(result.late)}
        if result.material.refusal_push is not None
        else None,
        "restore_doses": [{"dose": dose, "key": dose_key(dose)} for dose in result.recipe.refusal_doses],
        "cosines": cosines(result),
        "material": result.material.about,
        "questions": question_ids(result.plan),
        "answers": {name: len(getattr(result.plan, name)) for name in ("search", "push", "instructed", "told")},
        "metrics": numbers,
    }


def question_ids(plan: Plan) -> dict[str, str]:
    """Of all that is reported on, by content: requests, contexts and framing."""
    return {name: getattr(plan, name).id for name in ("push", "instructed", "told")}


def sentence(verdict: GateVerdict, result: Result) -> str:
    """The verdict as one sentence."""
    place = result.place
    where = f"layer {place.layer} of {result.depth}, read at {place.position}, dose {place.dose:g}"
    if verdict.answer == "gates":
        said = f"A compliant persona gates refusal in this model ({verdict.strength}; {where}): {_ways(verdict)}."
    elif verdict.answer == "no gating":
        said = f"No gating: refusal in this model does not follow the compliant persona (tried up to {where})."
    else:
        said = f"Cannot tell whether a compliant persona gates refusal in this model (best place: {where})."
    if result.material.about["persona"]["how"] == INSTRUCTED:
        said += (
            " Instructions hardly bring the persona out, so its vector is that between the instructions, lengthened "
            "where it was short: it need not be the persona's, and the dose may lie beyond what any instruction does."
        )
    return said


def _ways(verdict: GateVerdict) -> str:
    """What was seen, in the words of what was measured: compliance, and refusal only where that moved too."""

    def moved(kind: str) -> bool:
        return any(name.startswith(kind) for name in verdict.moves_refusal)

    ways = []
    if any(name.startswith("push") for name in verdict.carried):
        ways.append(
            "added, it takes refusal away"
            if moved("push")
            else "added, it raises compliance, not surely out of refusals"
        )
    if "undo" in verdict.carried:
        undone = "it brings refusal back" if moved("undo") else "it lowers compliance, not surely into refusals"
        ways.append(f"subtracted under compliant instructions, {undone}")
    return "; ".join(ways)
