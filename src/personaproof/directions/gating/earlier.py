"""An earlier study that a new one is compared with: what it asked, where it pushed, and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from personaproof.core import StoreError
from personaproof.directions.direction import Direction
from personaproof.directions.files import load_direction
from personaproof.directions.gating.kept import FOLDER, PERSONA_DIRECTION, Kept
from personaproof.directions.gating.place import At, Place
from personaproof.directions.gating.questions import Plan
from personaproof.directions.gating.recipe import GateRecipe
from personaproof.directions.gating.study import Result, kept_study
from personaproof.directions.gating.summary import question_ids


@dataclass(frozen=True)
class EarlierStudy:
    """`folder` is its run directory; `direction` and `place` are what the later study pushes with, and where."""

    folder: Path
    questions: Mapping[str, str]
    place: Place
    direction: Direction

    @classmethod
    def read(cls, folder: Path, summary: Mapping[str, Any]) -> EarlierStudy:
        """Raises StoreError where the summary is of another version's form or the direction cannot be read."""
        try:
            place = Place(**{name: value for name, value in summary["place"].items() if name != "depth"})
            questions = dict(summary["questions"])
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"the summary of {folder} is not of this version's form: {error!r}.") from None
        return cls(folder, questions, place, load_direction(folder / PERSONA_DIRECTION))

    @property
    def at(self) -> At:
        return self.place.position, self.place.layer, self.place.dose

    def result(self, recipe: GateRecipe, plan: Plan, depth: int) -> Result:
        """Its answers, to the questions of `plan`. Raises StoreError where it asked others, where a piece of it is
        missing, and where the direction beside it is not the one it steered with."""
        if question_ids(plan) != self.questions:
            raise StoreError(
                f"{self.folder} asked other requests, or put them to the model in another framing, so its answers do "
                "not pair with these; give the same --requests and --benign, and a model with the same chat template."
            )
        found = kept_study(recipe, plan, self.place, depth, Kept(self.folder / FOLDER))
        if self.direction.id != found.material.direction(self.place.position, self.place.layer).id:
            raise StoreError(
                f"the {PERSONA_DIRECTION} in {self.folder} is not the one its answers were steered with; restore it "
                "from a copy, or run that study again."
            )
        return found
