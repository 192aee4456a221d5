"""The Assistant axis: from the roles a model can play towards the Assistant it is by default (2601.10387)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import (
    Answer,
    Conversation,
    DataError,
    Exchange,
    Framing,
    ModelError,
    Persona,
    Request,
    Sampling,
    UtilityJudge,
    content_id,
    direct,
    resolve_framing,
)
from personaproof.directions.direction import Direction, describe_source
from personaproof.directions.packs import RolePack
from personaproof.directions.personas import ROLLOUT
from personaproof.directions.record import RESPONSE_MEAN, Means, Passage, mean_activations
from personaproof.directions.rollouts import rollouts
from personaproof.directions.structure import anatomy
from personaproof.engines import TransformersEngine

LEAST = 4
"""A role with fewer answers in character than this is left out."""


def axis(default: Tensor, roles: Tensor) -> Tensor:
    """mean of the default Assistant minus the mean of the roles' means: (layers, width) and (roles, layers, width) to
    (layers, width). It points towards the Assistant; every role counts alike, however many answers it gave."""
    return default - roles.mean(0)


@dataclass(frozen=True, eq=False)
class AssistantAxis:
    """Means of response activations, float64: `default` (layers, width), `roles` (roles, layers, width)."""

    default: Tensor
    roles: Tensor
    names: tuple[str, ...]
    """Of the roles kept, in the order of `roles`."""
    activation_norm: Tensor
    """(layers,): mean length of the default Assistant's activations."""
    answers: dict[str, int]
    """Answers kept for every role asked, "" the default Assistant's; those below 4 were left out."""
    source: dict[str, Any]
    data: str

    @property
    def vectors(self) -> Tensor:
        """(layers, width)."""
        return axis(self.default, self.roles)

    def direction(self, layer: int | None = None) -> Direction:
        """The axis at one layer, by default the middle one. Raises ModelError where there is no such layer."""
        depth = len(self.default)
        at = depth // 2 if layer is None else layer
        if not 0 <= at < depth:
            raise ModelError(f"there is no layer {at}: the axis was read at layers 0 to {depth - 1}.")
        return Direction(
            vector=self.vectors[at].float(),
            layer=at,
            position=RESPONSE_MEAN.name,
            method="assistant-axis",
            **self.source,
            data=self.data,
            activation_norm=float(self.activation_norm[at]),
        )


def assistant_axis(
    engine: TransformersEngine,
    pack: RolePack,
    *,
    framing: Framing | None = None,
    judge: UtilityJudge | None = None,
    sampling: Sampling = ROLLOUT,
    samples: int = 1,
    seed: int = 0,
) -> AssistantAxis:
    """Ask every question under every instruction of the Assistant and of each role. With a `judge` only answers whose
    manner is recognisably the role's count. Instructions enter by `framing`, where none is given in the system slot, or
    in the user turn where there is none.

    Raises DataError where the Assistant, or all but one role, is left with fewer than 4 answers.
    """
    framing = framing or resolve_framing("auto", engine.supports_system)
    groups = {"": pack.default, **pack.roles}
    asked = [
        (role, instruction, Request(question, harmful=False))
        for role, instructions in groups.items()
        for instruction in instructions
        for question in pack.questions
    ]
    conversations = [_conversation(framing, instruction, request) for _, instruction, request in asked]
    answers = rollouts(engine, conversations, sampling, seed=seed, samples=samples)
    prompts = engine.prompt_tokens(conversations)
    where = [i for i in range(len(asked)) for _ in range(samples)]
    exchanges = [
        Exchange(asked[i][2], conversations[i], answer.text, Persona(asked[i][1]) if asked[i][1] else None)
        for i, answer in zip(where, answers, strict=True)
    ]
    keep = _in_character([asked[i][0] for i in where], exchanges, judge)
    passages: dict[str, list[Passage]] = {role: [] for role in groups}
    for i, answer, kept in zip(where, answers, keep, strict=True):
        if kept and answer.tokens:
            passages[asked[i][0]].append(Passage(tuple(prompts[i]), tuple(answer.tokens)))
    counts = {role: len(found) for role, found in passages.items()}
    names = tuple(role for role in pack.roles if counts[role] >= LEAST)
    if counts[""] < LEAST or len(names) < 2:
        raise DataError(
            f'too few answers for an Assistant axis: {counts} ("" is the default Assistant), and the Assistant and '
            f"two roles or more need {LEAST} each. Use more samples, clearer instructions, or another judge."
        )
    means: dict[str, Means] = {role: mean_activations(engine, passages[role], [RESPONSE_MEAN]) for role in ("", *names)}
    return AssistantAxis(
        default=means[""].mean[0],
        roles=torch.stack([means[role].mean[0] for role in names]),
        names=names,
        activation_norm=means[""].norm[0],
        answers=counts,
        source=describe_source(engine, anatomy(engine)),
        data=content_id(
            "data", [pack.model_dump(), framing.name, judge.id if judge else None, sampling.id, samples, seed]
        ),
    )


def _conversation(framing: Framing, instruction: str, request: Request) -> Conversation:
    return framing.render(Persona(instruction), request) if instruction else direct(request)


def _in_character(roles: Sequence[str], exchanges: Sequence[Exchange], judge: UtilityJudge | None) -> list[bool]:
    """Which answers count; the default Assistant's all do."""
    if judge is None:
        return [True] * len(exchanges)
    rated = [i for i, role in enumerate(roles) if role]
    ratings = judge.rate([exchanges[i] for i in rated])
    keep = [True] * len(exchanges)
    for i, rating in zip(rated, ratings, strict=True):
        keep[i] = rating.manner is Answer.YES
    return keep
