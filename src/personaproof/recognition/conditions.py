"""Under what conditions a study was made, and whether two studies can be held against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personaproof.core import DataError
from personaproof.recognition.panel import ASSISTANT, LEAST_ROLES, Panel
from personaproof.recognition.recipe import RecognizeRecipe


@dataclass(frozen=True)
class Conditions:
    """All that decides what is measured, besides the model; and into how many `bands` its evaluators were put, which
    may differ. `personas` has every member's instruction, None for none."""

    layer: int
    framing: str
    claim: Mapping[str, Any]
    sampling: Mapping[str, Any]
    questions: tuple[str, ...]
    personas: Mapping[str, str | None]
    bands: int


def study_conditions(recipe: RecognizeRecipe, panel: Panel, layer: int) -> Conditions:
    """Those of a study with this panel, reading activations at block `layer`."""
    return Conditions(
        layer,
        panel.framing,
        recipe.claim.model_dump(mode="json"),
        recipe.sampling.model_dump(mode="json"),
        panel.questions,
        {member.name: member.persona.text if member.persona else None for member in panel.members},
        recipe.bands,
    )


def read_conditions(summary: Mapping[str, Any], source: str) -> Conditions:
    """From a study's summary. Raises DataError where it does not hold them."""
    try:
        recipe, panel = summary["recipe"], summary["panel"]
        return Conditions(
            summary["layer"],
            summary["framing"],
            dict(recipe["claim"]),
            dict(recipe["sampling"]),
            tuple(panel["questions"]),
            dict(panel["personas"]),
            int(recipe["bands"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the summary of {source} does not say what was asked of whom ({error!r} is missing or malformed); run its "
            "command again, which adds that to what it has kept."
        ) from error


def shared_personas(first: Conditions, second: Conditions, names: Sequence[str]) -> tuple[str, ...]:
    """Names of the personas of both studies, in the first's order, the Assistant first.

    Raises DataError naming what differs where their numbers would differ for other reasons than the model, and where
    they share fewer than four roles.
    """
    shared = tuple(name for name in first.personas if name in second.personas)
    if shared[:1] != (ASSISTANT,) or len(shared) < 1 + LEAST_ROLES:
        raise DataError(
            f"{names[0]} and {names[1]} share only {', '.join(shared) or 'no persona'}; study both with one panel."
        )
    if differences := _differences(first, second, shared):
        raise DataError(
            f"{names[0]} and {names[1]} cannot be compared: they differ in {'; '.join(differences)}. Study both with "
            "one recipe and one panel."
        )
    return shared


def _differences(first: Conditions, second: Conditions, shared: Sequence[str]) -> list[str]:
    pairs = {
        "the layer": (first.layer, second.layer),
        "the framing": (first.framing, second.framing),
        **{f"claim.{key}": pair for key, pair in _paired(first.claim, second.claim)},
        **{f"sampling.{key}": pair for key, pair in _paired(first.sampling, second.sampling)},
    }
    found = [f"{what} ({one!r} against {other!r})" for what, (one, other) in pairs.items() if one != other]
    if first.questions != second.questions:
        found.append(f"the questions ({len(first.questions)} against {len(second.questions)}, or other words)")
    if changed := [name for name in shared if first.personas[name] != second.personas[name]]:
        found.append(f"the instructions of {', '.join(changed)}")
    return found


def _paired(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, tuple[Any, Any]]]:
    return [(key, (one.get(key), other.get(key))) for key in sorted({*one, *other})]
