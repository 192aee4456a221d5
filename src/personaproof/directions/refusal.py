"""The refusal direction: extraction by difference in means, selection by what it does (Arditi et al. 2024).

Harmful requests that the model refuses, minus harmless ones that it answers, at each end-of-instruction position and
layer. A candidate must bypass refusal when ablated, induce it when added, and otherwise leave the model alone. On
models that answer in character nothing is decided at the prompt's end, so with personas the decision position is a
candidate too, and everything is scored right before the token that decides.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from torch import Tensor

from personaproof.core import (
    Answer,
    Conversation,
    DataError,
    Exchange,
    Judge,
    ModelError,
    Persona,
    Request,
    Sampling,
    content_id,
    direct,
    resolve_framing,
)
from personaproof.data import split_requests
from personaproof.directions.decision import decision_indices
from personaproof.directions.difference import difference_in_means, opening
from personaproof.directions.direction import Direction, describe_source
from personaproof.directions.interventions import ablate, steer
from personaproof.directions.record import DECISION, Passage, template_positions
from personaproof.directions.refusal_score import divergence, next_logits, refusal_score, refusal_tokens
from personaproof.directions.rollouts import rollouts
from personaproof.directions.structure import anatomy
from personaproof.engines import TransformersEngine
from personaproof.judges import PatternJudge

MOST_TRAIN, MOST_VALIDATION, LEAST = 128, 32, 8
ANSWER_TOKENS = 32
SPLIT = {"train": 0.8, "validation": 0.2}


@dataclass(frozen=True)
class Limits:
    """What a candidate must meet, with the published values."""

    induce: float = 0.0
    """Least mean refusal score on harmless requests when the vector is added at its layer."""
    kl: float = 0.1
    """Most mean KL (nats) at the deciding position of harmless requests under ablation."""
    depth: float = 0.8
    """Layers from this part of the model's depth on are not considered."""


@dataclass(frozen=True)
class Candidate:
    """One position and layer, and what its vector does; None where it was discarded without being tried. `reasons` say
    why it was discarded; none means that it passed."""

    position: str
    layer: int
    norm: float
    bypass: float | None = None
    """Mean refusal score on harmful requests under ablation."""
    induce: float | None = None
    kl: float | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class RefusalDirection:
    """The chosen direction, all candidates, and what they are measured against."""

    direction: Direction
    candidates: tuple[Candidate, ...]
    refusal_tokens: frozenset[int]
    harmful_score: float
    """Mean refusal score on harmful validation requests of the model as it is."""
    harmless_score: float
    counts: dict[str, int]
    """Requests used to extract and to validate, and those left out because the model answered a harmful one or refused
    a harmless one, or the judge could not tell, or their words were judged both ways."""


class NoDirectionError(ModelError):
    """No candidate passed. Carries all of them."""

    def __init__(self, message: str, candidates: tuple[Candidate, ...]) -> None:
        super().__init__(message)
        self.candidates = candidates


@dataclass(frozen=True)
class _Data:
    """Passages of harmful requests that were refused and harmless ones that were answered."""

    train: dict[bool, list[Passage]]
    validation: dict[bool, list[Passage]]
    tokens: frozenset[int]
    counts: dict[str, int]


def refusal_direction(
    engine: TransformersEngine,
    harmful: Sequence[Request],
    harmless: Sequence[Request],
    *,
    personas: Sequence[Persona] = (),
    judge: Judge | None = None,
    tokens: Collection[int] | None = None,
    limits: Limits | None = None,
    seed: int = 0,
) -> RefusalDirection:
    """Find the refusal direction of `engine`'s model.

    At most 128 + 32 requests of each kind are used, split by intent. With `personas` the requests are asked under them
    in turn (both kinds under the same ones); give few, each about 16 requests of a kind, since the decision position is
    found from openers that recur. `judge` reads the model's own greedy answers (patterns by default);
    `tokens` are the ids that open refusals, by default found from these answers.

    Raises DataError where too few requests are refused and answered as they should be, or refusals do not open alike,
    and NoDirectionError, naming the nearest misses, where no candidate passes.
    """
    limits = limits or Limits()
    judge = judge or PatternJudge()
    data = _gather(engine, harmful, harmless, personas, judge, tokens, seed)
    parts = anatomy(engine)
    positions = template_positions(engine, direct(harmful[0]))
    refused, answered = ({opening(passage) for passage in data.train[kind]} for kind in (True, False))
    if (refused & answered) - {()}:
        # Otherwise answers are decided by their first token, and this is the prompt's last position again.
        positions = (*positions, DECISION)
    found = difference_in_means(engine, data.train[True], data.train[False], positions)
    trial = _Trial(engine, data, limits, parts.depth)
    candidates = tuple(
        trial.assess(position.name, layer, found.vectors[at, layer].float(), differs=found.differs(at, layer))
        for at, position in enumerate(positions)
        for layer in range(parts.depth)
    )
    passed = [c for c in candidates if not c.reasons]
    if not passed:
        raise NoDirectionError(_explain(candidates, trial), candidates)
    chosen = min(passed, key=lambda c: c.bypass if c.bypass is not None else math.inf)
    at = [position.name for position in positions].index(chosen.position)
    direction = Direction(
        vector=found.vectors[at, chosen.layer].float(),
        layer=chosen.layer,
        position=chosen.position,
        method="refusal",
        **describe_source(engine, parts),
        data=content_id(
            "data",
            [[item.id for item in group] for group in (harmful, harmless, personas)]
            + [judge.id, sorted(data.tokens), seed],
        ),
        activation_norm=float(found.activation_norm[at, chosen.layer]),
    )
    return RefusalDirection(direction, candidates, data.tokens, trial.harmful_score, trial.harmless_score, data.counts)


class _Trial:
    """Tries candidates on the validation requests."""

    def __init__(self, engine: TransformersEngine, data: _Data, limits: Limits, depth: int) -> None:
        self.engine, self.tokens, self.limits, self.depth = engine, data.tokens, limits, depth
        self.harmful = [_before_decision(passage) for passage in data.validation[True]]
        self.harmless = [_before_decision(passage) for passage in data.validation[False]]
        self.plain = next_logits(engine, self.harmless)
        self.harmless_score = self._score(self.plain)
        self.harmful_score = self._score(next_logits(engine, self.harmful))

    def assess(self, position: str, layer: int, vector: Tensor, *, differs: bool) -> Candidate:
        norm = float(vector.norm())
        if layer >= self.limits.depth * self.depth:
            return Candidate(position, layer, norm, reasons=(f"layer not below {self.limits.depth:.0%} of the depth",))
        if not differs:
            return Candidate(position, layer, norm, reasons=("no difference between harmful and harmless",))
        with ablate(self.engine, vector):
            bypass = self._score(next_logits(self.engine, self.harmful))
            kl = float(divergence(self.plain, next_logits(self.engine, self.harmless)).mean())
        with steer(self.engine, vector, layers=[layer]):
            induce = self._score(next_logits(self.engine, self.harmless))
        return Candidate(position, layer, norm, bypass, induce, kl, self._reasons(bypass, induce, kl))

    def _score(self, logits: Tensor) -> float:
        return float(refusal_score(logits, self.tokens).mean())

    def _reasons(self, bypass: float, induce: float, kl: float) -> tuple[str, ...]:
        reasons = []
        # The lowest of many scores is no bypass yet. Written so that NaN fails.
        if not bypass < self.harmful_score:
            reasons.append(f"ablation does not lower refusal ({bypass:.2f}, before {self.harmful_score:.2f})")
        if not induce >= self.limits.induce:
            reasons.append(f"induced refusal {induce:.2f} below {self.limits.induce:g}")
        if not kl <= self.limits.kl:
            reasons.append(f"KL {kl:.3f} over {self.limits.kl:g}")
        return tuple(reasons)


def _gather(
    engine: TransformersEngine,
    harmful: Sequence[Request],
    harmless: Sequence[Request],
    personas: Sequence[Persona],
    judge: Judge,
    tokens: Collection[int] | None,
    seed: int,
) -> _Data:
    if any(not r.harmful for r in harmful) or any(r.harmful for r in harmless):
        raise DataError("harmful requests must be marked harmful and harmless ones not; the two seem to be mixed up.")
    asked: list[tuple[Request, str, Persona | None, Conversation]] = []
    framing = resolve_framing("auto", engine.supports_system)
    for group in (harmful, harmless):
        split = split_requests(group, SPLIT, seed)
        for name, most in (("train", MOST_TRAIN), ("validation", MOST_VALIDATION)):
            for number, request in enumerate(split[name][:most]):
                persona = personas[number % len(personas)] if personas else None
                conversation = framing.render(persona, request) if persona else direct(request)
                asked.append((request, name, persona, conversation))
    conversations = [conversation for *_, conversation in asked]
    answers = rollouts(engine, conversations, Sampling(0, max_new_tokens=ANSWER_TOKENS), seed=seed)
    verdicts = judge.judge(
        [Exchange(r, c, a.text, p) for (r, _, p, c), a in zip(asked, answers, strict=True)],
    )
    judged = [i for i, v in enumerate(verdicts) if v.refused is not Answer.UNJUDGED and answers[i].tokens]
    refused = [verdicts[i].refused is Answer.YES for i in judged]
    decisions = decision_indices([answers[i].tokens for i in judged], refused)
    sides: dict[str, dict[bool, list[Passage]]] = {name: {True: [], False: []} for name in SPLIT}
    deciding: dict[bool, list[int]] = {True: [], False: []}
    prompts = engine.prompt_tokens(conversations)
    left_out = {"unjudged": len(asked) - len(judged), "undecided": 0, "harmful_answered": 0, "harmless_refused": 0}
    for i, was_refused, decision in zip(judged, refused, decisions, strict=True):
        request, name = asked[i][:2]
        if decision is None:
            left_out["undecided"] += 1
            continue
        deciding[was_refused].append(answers[i].tokens[decision])
        if request.harmful != was_refused:
            left_out["harmful_answered" if request.harmful else "harmless_refused"] += 1
            continue
        sides[name][request.harmful].append(Passage(tuple(prompts[i]), tuple(answers[i].tokens), decision))
    used = {
        f"{name}_{'harmful' if kind else 'harmless'}": len(side[kind])
        for name, side in sides.items()
        for kind in (True, False)
    }
    if min(used["train_harmful"], used["train_harmless"]) < LEAST or min(used.values()) < 2:
        raise DataError(
            f"too few requests to find a refusal direction: {used} were refused if harmful and answered if harmless; "
            f"left out: {left_out}. At least {LEAST} of each are needed to extract and 2 to validate; "
            "bring more requests, or other personas."
        )
    opening_tokens = frozenset(tokens) if tokens is not None else refusal_tokens(deciding[True], deciding[False])
    counts = {**used, **{f"left_out_{reason}": n for reason, n in left_out.items()}}
    return _Data(sides["train"], sides["validation"], opening_tokens, counts)


def _before_decision(passage: Passage) -> tuple[int, ...]:
    return (*passage.prompt, *passage.response[: passage.decision])


def _explain(candidates: Sequence[Candidate], trial: _Trial) -> str:
    tried = sorted((c for c in candidates if c.bypass is not None), key=lambda c: (len(c.reasons), c.bypass or 0.0))
    misses = "; ".join(
        f"{c.position} layer {c.layer}: refusal {c.bypass:.2f} when ablated, {c.induce:.2f} when added, KL {c.kl:.3f} "
        f"({', '.join(c.reasons)})"
        for c in tried[:3]
    )
    return (
        f"none of {len(candidates)} candidates is a refusal direction of {trial.engine.name!r} (refusal score "
        f"{trial.harmful_score:.2f} on harmful requests, {trial.harmless_score:.2f} on harmless ones). "
        f"Nearest: {misses or 'none could be tried'}. "
        "Bring more requests, ask them under personas, or widen the limits."
    )
