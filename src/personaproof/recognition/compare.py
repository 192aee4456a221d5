"""Two studies of one panel, such as before and after hardening: does the Assistant stay the reference?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from personaproof.recognition.analysis import PREDICTORS, Analysis, Matrices
from personaproof.recognition.conditions import read_conditions, shared_personas
from personaproof.recognition.predictors import interval, mean_over
from personaproof.recognition.recipe import RecognizeRecipe
from personaproof.recognition.summary import read_matrices
from personaproof.recognition.verdict import decide, told
from personaproof.stats import Estimate


@dataclass(frozen=True)
class Comparison:
    """Second study minus first, on the personas both have. `changes` has the names of `metrics` in a summary."""

    personas: tuple[str, ...]
    left_out: tuple[str, ...]
    changes: Mapping[str, Estimate]
    sentences: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "personas": list(self.personas),
            "left_out": list(self.left_out),
            "changes": {name: change.as_json() for name, change in self.changes.items()},
            "sentences": list(self.sentences),
        }


def compare_studies(
    first: Mapping[str, Any], second: Mapping[str, Any], recipe: RecognizeRecipe, names: tuple[str, str]
) -> Comparison:
    """From two summaries. Generators are drawn alike for both, so what a draw does to both cancels; bands are the
    first study's, of evaluators that answer in both, so a change is the second's number less the first's.

    Raises DataError where a summary is of another form, the studies differ in more than the model (see
    `shared_personas`), or fewer than four roles are in both.
    """
    one, two = read_matrices(first, names[0]), read_matrices(second, names[1])
    conditions = read_conditions(first, names[0])
    shared = shared_personas(conditions, read_conditions(second, names[1]), names)
    left_out = tuple(sorted({*one.names, *two.names} - {*shared}))
    before, after = one.chosen(shared), two.chosen(shared)
    answering = tuple(sorted({*before.answering} & {*after.answering}))
    then, now = (
        Analysis(found, answering, before.information, conditions.bands, recipe.bootstrap, recipe.bootstrap_seed)
        for found in (before, after)
    )
    changes: dict[str, Estimate] = {}
    for band in ("far", "all", "any"):
        chosen = then.evaluators(band)
        for predictor in PREDICTORS:
            row = then.of_predictor(predictor)
            values = [mean_over(each.r, chosen)[row] for each in (then, now)]
            drawn = [mean_over(each.drawn, chosen)[:, row] for each in (then, now)]
            changes[f"r.{band}.{predictor}"] = interval(float(values[1] - values[0]), drawn[1] - drawn[0], len(chosen))
    changes |= _levels(before, after, then)
    return Comparison(shared, left_out, changes, _sentences(then, now, changes, names))


def _levels(before: Matrices, after: Matrices, analysis: Analysis) -> dict[str, Estimate]:
    """Changes in what personas claim and how far they are, means over personas with the bootstrap's interval."""
    others = ~np.eye(len(before.names), dtype=bool)
    per_persona = {
        "claim.own": np.diagonal(after.claims) - np.diagonal(before.claims),
        "claim.others": (np.where(others, after.claims - before.claims, 0).sum(1)) / (len(before.names) - 1),
        "information": after.information - before.information,
        "activation": after.activation - before.activation,
        "mass": after.mass - before.mass,
    }
    weights = analysis.draws[:, 1:]
    # A draw that holds no persona but the Assistant has no mean.
    weights = weights[weights.sum(1) > 0]
    found = {}
    for name, values in per_persona.items():
        drawn = weights @ values[1:] / weights.sum(1)
        found[name] = interval(float(values[1:].mean()), drawn, len(values) - 1)
    return found


def _sentences(
    then: Analysis, now: Analysis, changes: Mapping[str, Estimate], names: tuple[str, str]
) -> tuple[str, ...]:
    was, became = decide(then), decide(now)
    stays = (
        f"Both studies come to the same answer on the evaluators that answer in both, far or near as in {names[0]}: "
        f"{was}."
        if was == became
        else f"On the evaluators that answer in both, far or near as in {names[0]}, the answer goes from {was} "
        f"({names[0]}) to {became} ({names[1]})."
    )
    band = then.telling_band
    of_whom = f"evaluators far in {names[0]}" if band == "far" else "all evaluators, too few of which answer"
    asymmetric = then.of_predictor("asymmetric")
    return (
        stays,
        f"Mean r of the asymmetric gap over {of_whom}: {told(then.mean(asymmetric, band))} before, "
        f"{told(now.mean(asymmetric, band))} after, a change of {told(changes[f'r.{band}.asymmetric'], signed=True)}.",
        f"Personas' claims change by {told(changes['claim.own'], signed=True)} on their own texts and by "
        f"{told(changes['claim.others'], signed=True)} on others'.",
        f"Their distance from the Assistant changes by {told(changes['information'], signed=True)} nats a text and "
        f"{told(changes['activation'], signed=True)} in activations.",
    )
