"""The whole study: texts, then every evaluator's row, each kept as soon as it is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from personaproof.core import Progress, StoreError, content_id
from personaproof.directions import anatomy
from personaproof.engines import TransformersEngine
from personaproof.recognition import measure
from personaproof.recognition.panel import Panel
from personaproof.recognition.predictors import Floats
from personaproof.recognition.recipe import RecognizeRecipe
from personaproof.recognition.texts import Text, Texts, write_texts
from personaproof.store import RunDirectory, write_json
from personaproof.store.files import explained_files, read_json

FOLDER = "measured"


@dataclass(frozen=True, eq=False)
class Study:
    """What was measured. Rows are evaluators, columns are texts, in the panel's and the texts' order.

    `surprise` (evaluators, texts) in nats a text; `claims` and `mass` (evaluators, texts, 2), "mine" offered first and
    second; `activations` (members, width), of each member's own texts at block `layer`.
    """

    panel: Panel
    texts: Texts
    surprise: Floats
    claims: Floats
    mass: Floats
    activations: Floats
    layer: int

    @property
    def generators(self) -> NDArray[np.intp]:
        """(texts,) member indices."""
        return np.array([text.generator for text in self.texts.texts], dtype=np.intp)

    @property
    def lengths(self) -> Floats:
        """(texts,) tokens."""
        return np.array([len(text.tokens) for text in self.texts.texts], dtype=np.float64)


def study_layer(recipe: RecognizeRecipe, engine: TransformersEngine) -> int:
    """The block at whose input a study reads activations. Raises ModelError where the model has no such block."""
    parts = anatomy(engine)
    return parts.depth // 2 if recipe.layer is None else parts.check_layer(recipe.layer)


ProgressFor = Callable[[str, str], Any]
"""A context manager that shows progress of a stage, counted in a unit, and gives its callback."""


def run_study(
    run: RunDirectory, recipe: RecognizeRecipe, engine: TransformersEngine, panel: Panel, progress_for: ProgressFor
) -> Study:
    """Write and measure; interrupted, the same call continues with what is kept in `run`."""
    layer = study_layer(recipe, engine)
    with progress_for("write", "texts") as advance:
        texts = write_texts(run.store, engine, recipe, panel, advance)
    kept = _Kept(run.path / FOLDER, [engine.fingerprint, recipe.claim.model_dump(), layer], texts.texts)
    with progress_for("measure", "personas") as advance:
        rows = [
            kept.row(panel, member, partial(_measure, engine, recipe, panel, member, texts.texts, layer))
            for member in _counted(range(len(panel.members)), advance)
        ]
    return Study(
        panel,
        texts,
        surprise=np.array([row["surprise"] for row in rows]),
        claims=np.array([row["claims"] for row in rows]),
        mass=np.array([row["mass"] for row in rows]),
        activations=np.array([row["activation"] for row in rows]),
        layer=layer,
    )


def _measure(
    engine: TransformersEngine, recipe: RecognizeRecipe, panel: Panel, member: int, texts: Sequence[Text], layer: int
) -> dict[str, Any]:
    said = measure.claims(engine, panel, member, texts, recipe.claim)
    return {
        "name": panel.names[member],
        "surprise": measure.surprise(engine, panel, member, texts),
        "claims": [list(pair) for pair in said.mine],
        "mass": [list(pair) for pair in said.mass],
        "activation": measure.mean_response(engine, panel, member, texts, layer),
    }


class _Kept:
    """A file a member under the run's folder, named by everything that decides what is in it."""

    def __init__(self, folder: Path, decided_by: Sequence[Any], texts: Sequence[Text]) -> None:
        self._folder = folder
        self._texts = len(texts)
        self._identity = [*decided_by, [text.key for text in texts]]
        with explained_files(folder):
            folder.mkdir(exist_ok=True)

    def row(self, panel: Panel, member: int, compute: Callable[[], dict[str, Any]]) -> Mapping[str, Any]:
        persona = panel.members[member].persona
        name = content_id("row", [*self._identity, panel.framing, member, persona.text if persona else None])
        readable = re.sub(r"[^A-Za-z0-9]+", "-", panel.names[member])[:40]
        path = self._folder / f"{readable}-{name}.json"
        row = read_json(path)
        if row is None:
            row = compute()
            write_json(path, row)
        if any(len(row.get(field, ())) != self._texts for field in ("surprise", "claims", "mass")):
            raise StoreError(f"{path} does not hold {self._texts} texts; delete it and run the same command again.")
        return row


def _counted(items: Sequence[int], advance: Progress) -> Any:
    advance(0, len(items))
    for done, item in enumerate(items, 1):
        yield item
        advance(done, len(items))
