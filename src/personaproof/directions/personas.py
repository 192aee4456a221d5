"""Persona vectors: from how a model acts under a trait's instructions and under their opposite (Chen et al. 2025,
2507.21509), of which the compliant persona is one (2606.26161)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from personaproof.core import (
    DataError,
    Exchange,
    Framing,
    ModelError,
    Persona,
    Request,
    Sampling,
    content_id,
    resolve_framing,
)
from personaproof.directions.decision import decision_indices
from personaproof.directions.difference import Difference, difference_in_means
from personaproof.directions.direction import Direction, describe_source
from personaproof.directions.packs import TraitPack
from personaproof.directions.record import DECISION, PROMPT_LAST, RESPONSE_FIRST, RESPONSE_MEAN, Passage, Position
from personaproof.directions.rollouts import rollouts
from personaproof.directions.structure import anatomy
from personaproof.directions.trait_judges import TraitJudge, TraitRating
from personaproof.engines import TransformersEngine
from personaproof.stats import Estimate, clustered_mean

POSITIONS = (PROMPT_LAST, RESPONSE_FIRST, RESPONSE_MEAN, DECISION)
THRESHOLD = 50.0
"""Answers count for a side from this trait score on or below it, and with at least this coherence."""
LEAST = 8
ROLLOUT = Sampling(temperature=1.0, top_p=1.0, max_new_tokens=128)


class NoContrastError(DataError):
    """The answers do not show a trait that follows its instructions. `counts` are those of `PersonaVectors`; `absent`
    says whether it is the trait that is absent: the instructions do not change how often it shows, or on every side
    that is short of answers, most of those lost could be read and rated, and did not show what was called for."""

    def __init__(self, message: str, counts: dict[str, int], *, absent: bool) -> None:
        super().__init__(message)
        self.counts = counts
        self.absent = absent

    @property
    def unjudged(self) -> float:
        """Share of all answers."""
        return self.counts["unjudged"] / max(1, sum(self.counts.values()))


@dataclass(frozen=True, eq=False)
class PersonaVectors:
    """A trait's difference in means at every position rule and layer, positive minus negative."""

    trait: str
    difference: Difference
    counts: dict[str, int]
    """Answers kept on each side, and left out by reason."""
    effect: Estimate
    """By how much more often the trait shows under its instructions than under their opposites, over questions."""
    source: dict[str, Any]
    data: str

    def direction(self, position: Position, layer: int) -> Direction:
        """The vector at one place. Raises ModelError where it was not read there or nothing differs there (as in the
        first layer at a token of the template)."""
        names = [one.name for one in self.difference.positions]
        depth = self.difference.vectors.shape[1]
        if position.name not in names or not 0 <= layer < depth:
            raise ModelError(
                f"the trait {self.trait!r} was not read at {position.name}, layer {layer}; there are "
                f"{', '.join(names)} and layers 0 to {depth - 1}."
            )
        at = names.index(position.name)
        if not self.difference.differs(at, layer):
            raise ModelError(f"nothing differs at {position.name}, layer {layer}; choose another place.")
        return Direction(
            vector=self.difference.vectors[at, layer].float(),
            layer=layer,
            position=position.name,
            method=f"trait:{self.trait}",
            **self.source,
            data=self.data,
            activation_norm=float(self.difference.activation_norm[at, layer]),
        )


def persona_vectors(
    engine: TransformersEngine,
    trait: TraitPack,
    judge: TraitJudge,
    *,
    framing: Framing | None = None,
    positions: Sequence[Position] = POSITIONS,
    sampling: Sampling = ROLLOUT,
    samples: int = 1,
    seed: int = 0,
) -> PersonaVectors:
    """Ask every question under every instruction, `samples` times, and keep the answers in which the instruction took:
    trait at least 50 (positive) or below 50 (negative), coherence at least 50. The instructions enter by `framing`,
    where none is given in the system slot, or in the user turn where there is none.

    Raises NoContrastError, with the counts, where fewer than 8 answers are left on a side, or so few beside the
    other's that no place can be found where the two part; and where the instructions do not surely change how often
    the trait shows. Keeping those answers in which an instruction seems to have taken would then select on the outcome
    alone: the difference would be that of complying, say, in whatever character, which breaks refusal in any model.
    """
    framing = framing or resolve_framing("auto", engine.supports_system)
    asked = [
        (positive, Persona(instruction), Request(question, trait.harmful))
        for positive, instructions in ((True, trait.positive), (False, trait.negative))
        for instruction in instructions
        for question in trait.questions
        for _ in range(samples)
    ]
    conversations = [framing.render(persona, request) for _, persona, request in asked]
    answers = rollouts(engine, conversations[::samples], sampling, seed=seed, samples=samples)
    ratings = judge.rate(
        trait,
        [
            Exchange(request, conversation, answer.text, persona)
            for (_, persona, request), conversation, answer in zip(asked, conversations, answers, strict=True)
        ],
    )
    counts = dict.fromkeys(("positive", "negative", "unjudged", "incoherent", "trait_absent", "empty", "undecided"), 0)
    absent = {True: 0, False: 0}
    asked_of = Counter(positive for positive, *_ in asked)
    kept: list[tuple[bool, int]] = []
    for index, ((positive, *_), rating) in enumerate(zip(asked, ratings, strict=True)):
        problem = _problem(rating, positive) if answers[index].tokens else "empty"
        if problem:
            counts[problem] += 1
            absent[positive] += problem == "trait_absent"
        else:
            kept.append((positive, index))

    def too_few(message: str, left: dict[bool, int], short: Sequence[bool]) -> NoContrastError:
        lost = {side: asked_of[side] - left[side] for side in short}
        found = {**counts, "positive": left[True], "negative": left[False]}
        return NoContrastError(message, found, absent=all(2 * absent[side] > lost[side] for side in short))

    def check_enough(left: dict[bool, int]) -> None:
        short = [side for side, n in left.items() if n < LEAST]
        if short:
            raise too_few(_explain_few(trait, left, counts), left, short)

    left = {side: sum(positive is side for positive, _ in kept) for side in (True, False)}
    check_enough(left)
    effect = _effect([positive for positive, *_ in asked], [request.id for *_, request in asked], ratings)
    if effect.value is None or effect.value <= 0 or (effect.low is not None and effect.low <= 0):
        raise NoContrastError(
            _explain_no_effect(trait, effect), {**counts, "positive": left[True], "negative": left[False]}, absent=True
        )
    prompts = engine.prompt_tokens([conversations[index] for _, index in kept])
    try:
        decisions = decision_indices(
            [answers[index].tokens for _, index in kept], [not positive for positive, _ in kept]
        )
    except DataError as error:
        raise too_few(str(error), left, [left[True] < left[False]]) from error
    sides: dict[bool, list[Passage]] = {True: [], False: []}
    for (positive, index), prompt, decision in zip(kept, prompts, decisions, strict=True):
        if decision is None:
            counts["undecided"] += 1
        else:
            sides[positive].append(Passage(tuple(prompt), tuple(answers[index].tokens), decision))
    counts["positive"], counts["negative"] = len(sides[True]), len(sides[False])
    check_enough({side: len(passages) for side, passages in sides.items()})
    return PersonaVectors(
        trait.name,
        difference_in_means(engine, sides[True], sides[False], positions),
        counts,
        effect,
        describe_source(engine, anatomy(engine)),
        content_id("data", [trait.model_dump(), framing.name, judge.id, sampling.id, samples, seed]),
    )


def _effect(positive: Sequence[bool], questions: Sequence[str], ratings: Sequence[TraitRating]) -> Estimate:
    """Share of the answers to a question that show the trait under its instructions, less that under their opposites:
    the mean over questions with a 95 % interval. Answers that are unjudged or incoherent are left out."""
    shown: dict[str, dict[bool, list[bool]]] = {}
    for side, question, rating in zip(positive, questions, ratings, strict=True):
        if rating.trait is not None and rating.coherence is not None and rating.coherence >= THRESHOLD:
            shown.setdefault(question, {True: [], False: []})[side].append(rating.trait >= THRESHOLD)
    both = {question: sides for question, sides in shown.items() if all(sides.values())}
    changes = [fmean(sides[True]) - fmean(sides[False]) for sides in both.values()]
    return clustered_mean(changes, list(both), list(both))


def _problem(rating: TraitRating, positive: bool) -> str | None:
    if rating.trait is None or rating.coherence is None:
        return "unjudged"
    if rating.coherence < THRESHOLD:
        return "incoherent"
    return None if (rating.trait >= THRESHOLD) == positive else "trait_absent"


def _explain_no_effect(trait: TraitPack, effect: Estimate) -> str:
    shown = "not measured" if effect.value is None else f"{effect.value:+.2f}"
    if effect.low is not None and effect.high is not None:
        shown += f" ({effect.low:+.2f} to {effect.high:+.2f})"
    return (
        f"the instructions of the trait {trait.name!r} do not surely change how often it shows, against their "
        f"opposites: {shown} over {effect.n} questions. Use other instructions or more questions, or another judge."
    )


def _explain_few(trait: TraitPack, left: dict[bool, int], counts: dict[str, int]) -> str:
    told = {"positive": left[True], "negative": left[False]}
    left_out = {reason: n for reason, n in counts.items() if reason not in told}
    return (
        f"too few answers show the trait {trait.name!r} or its opposite as told: {told}, at least {LEAST} of each "
        f"are needed; left out: {left_out}. Use other instructions or questions, more samples, or another judge."
    )
