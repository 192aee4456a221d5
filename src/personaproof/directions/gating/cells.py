"""Answering a list of questions under interventions, once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from torch import Tensor

from personaproof.core import Exchange, Judge, Progress, Sampling, StoreError
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


@dataclass(frozen=True, eq=False)
class KnockOut:
    """The component along `vector` out of the input of `layer`, all positions."""

    vector: Tensor
    layer: int


Intervention = Add | KnockOut


@dataclass(frozen=True, eq=False)
class Task:
    """A cell to be answered. Its name says where it is kept."""

    name: str
    questions: Questions
    interventions: tuple[Intervention, ...] = ()


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
        """From the folder, or from the model. Raises StoreError where the folder's is of other questions."""
        name = f"cells/{task.name}"
        found = self.kept.read(name)
        if found is None:
            answers = self._generate(task)
            cell = Cell(task.questions.id, tuple(self._classify(task, answers)))
            # The texts are for whoever wants to see what was counted; nothing reads them again.
            self.kept.write(name, {**cell.as_json(), "answers": answers})
        else:
            cell = Cell.from_json(found)
            if cell.questions != task.questions.id or len(cell.outcomes) != len(task.questions):
                raise StoreError(f"{name} in {self.kept.folder} is of other questions; choose another --out.")
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
