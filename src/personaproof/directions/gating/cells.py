"""Answering a list of questions under interventions, once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from torch import Tensor

from personaproof.core import Exchange, Judge, Progress, Sampling, StoreError
from personaproof.directions.direction import vector_id
from personaproof.directions.gating.kept import Kept
from personaproof.directions.gating.outcomes import Cell, Outcome, classify_all
from personaproof.directions.gating.questions import Questions
from personaproof.directions.interventions import ablate, steer
from personaproof.directions.rollouts import rollouts
from personaproof.engines import TransformersEngine


@dataclass(frozen=True, eq=False)
class Add:
    """`dose` times `vector` (width,) at the input of `layer`, all positions."""

    vector: Tensor
    dose: float
    layer: int

    def as_json(self) -> list[str | float]:
        return ["add", vector_id(self.vector), self.dose, self.layer]


@dataclass(frozen=True, eq=False)
class KnockOut:
    """The component along `vector` out of the input of `layer`, all positions."""

    vector: Tensor
    layer: int

    def as_json(self) -> list[str | float]:
        return ["knock out", vector_id(self.vector), self.layer]


Intervention = Add | KnockOut
DONE = "interventions"
"""Key in a kept cell of what was done while it was answered."""


@dataclass(frozen=True, eq=False)
class Task:
    """A cell to be answered. Its name says where it is kept."""

    name: str
    questions: Questions
    interventions: tuple[Intervention, ...] = ()

    def read(self, kept: Kept) -> Cell | None:
        """Its cell in a folder, None where it was not answered. Raises StoreError where the folder's is of other
        questions or was answered under other interventions."""
        name = f"cells/{self.name}"
        found = kept.read(name)
        if found is None:
            return None
        cell = Cell.from_json(found)
        if cell.questions != self.questions.id or len(cell.outcomes) != len(self.questions):
            raise StoreError(f"{name} in {kept.folder} is of other questions; choose another --out.")
        if found.get(DONE) != self._done():
            raise StoreError(
                f"{name} in {kept.folder} was answered under another vector, dose or layer, so it is of another study; "
                "choose another --out, or remove the folder and begin anew."
            )
        return cell

    def write(self, kept: Kept, cell: Cell, answers: Sequence[str]) -> None:
        # The texts are for whoever wants to see what was counted; nothing reads them again.
        kept.write(f"cells/{self.name}", {**cell.as_json(), DONE: self._done(), "answers": list(answers)})

    def _done(self) -> list[list[str | float]]:
        return [each.as_json() for each in self.interventions]


class Cells:
    """Answers tasks, keeps each whole, and counts."""

    def __init__(
        self,
        engine: TransformersEngine,
        judge: Judge,
        sampling: Sampling,
        seed: int,
        kept: Kept,
        progress: Progress,
        total: int,
    ) -> None:
        self.engine, self.judge, self.sampling, self.seed = engine, judge, sampling, seed
        self.kept, self.progress, self.total = kept, progress, total
        self.answers = 0

    def answer(self, task: Task) -> Cell:
        """From the folder, or from the model. Raises StoreError as `Task.read`."""
        cell = task.read(self.kept)
        if cell is None:
            answers = self._generate(task)
            cell = Cell(task.questions.id, tuple(self._classify(task, answers)))
            task.write(self.kept, cell, answers)
        self.answers += len(task.questions)
        self.progress(self.answers, max(self.total, self.answers))
        return cell

    def answer_all(self, tasks: Sequence[Task]) -> dict[str, Cell]:
        return {task.name: self.answer(task) for task in tasks}

    def _generate(self, task: Task) -> list[str]:
        with ExitStack() as stack:
            for each in task.interventions:
                vector = each.vector.float()
                if isinstance(each, Add):
                    stack.enter_context(steer(self.engine, vector, each.dose, layers=[each.layer]))
                else:
                    stack.enter_context(ablate(self.engine, vector, layers=[each.layer]))
            asked = [question.conversation for question in task.questions.items]
            return [answer.text for answer in rollouts(self.engine, asked, self.sampling, seed=self.seed)]

    def _classify(self, task: Task, answers: Sequence[str]) -> list[Outcome]:
        """Outside the interventions, since the judge's own model may be the very one that is steered."""
        exchanges = [
            Exchange(q.request, q.conversation, answer, q.persona)
            for q, answer in zip(task.questions.items, answers, strict=True)
        ]
        return classify_all(self.judge, exchanges)
