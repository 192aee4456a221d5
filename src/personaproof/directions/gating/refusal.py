"""The refusal direction as the study uses it: at every layer for its cosines, and one selected by what it does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from personaproof.core import Answer, DataError, Exchange, Judge, Request, Sampling, direct
from personaproof.directions.difference import Difference, difference_in_means
from personaproof.directions.record import PROMPT_LAST, Passage
from personaproof.directions.refusal import Candidate, Limits, NoDirectionError, RefusalDirection, refusal_direction
from personaproof.directions.rollouts import rollouts
from personaproof.directions.structure import anatomy
from personaproof.engines import TransformersEngine

WIDE = Limits(induce=-math.inf, kl=math.inf, depth=1.0)


def refusal_material(
    engine: TransformersEngine, harmful: Sequence[Request], benign: Sequence[Request], judge: Judge, seed: int
) -> tuple[Tensor | None, Tensor | None, dict[str, Any]]:
    """`refusal` and `refusal_push` of `Material`, with what to say about them. Requests that the model does not treat
    as they are labelled leave no direction: both are None then, and `why` says so."""
    try:
        found, relaxed = _selected(engine, harmful, benign, judge, seed)
        layers = _refusal_by_layer(engine, harmful, benign, judge, seed)
    except (DataError, NoDirectionError) as error:
        return None, None, {"how": "not found", "why": str(error)}
    direction = found.direction
    scale = layers.activation_norm[0] / layers.activation_norm[0, direction.layer]
    about = {
        "how": f"{direction.position}, layer {direction.layer}" + ("; beyond the published limits" if relaxed else ""),
        "layer": direction.layer,
        "position": direction.position,
        "norm": direction.norm,
        "relaxed": relaxed,
        "harmful_score": found.harmful_score,
        "harmless_score": found.harmless_score,
    }
    return layers.vectors[0], scale[:, None] * direction.vector.double(), about


def _selected(
    engine: TransformersEngine, harmful: Sequence[Request], benign: Sequence[Request], judge: Judge, seed: int
) -> tuple[RefusalDirection, list[str]]:
    """By the published limits where a candidate meets them; otherwise, of those whose ablation lowers refusal, the one
    that induces most of it when it is added, since restoring is what it is for. Then with the limits that it misses."""
    depth = anatomy(engine).depth
    found = refusal_direction(engine, harmful, benign, judge=judge, limits=WIDE, seed=seed)
    bypassing = [c for c in found.candidates if c.bypass is not None and not c.reasons]
    if any(not _missed(candidate, depth) for candidate in bypassing):
        return refusal_direction(engine, harmful, benign, judge=judge, seed=seed), []
    # A hair below the best: the same forward need not give the same last bit everywhere.
    only = replace(WIDE, induce=max(map(_induced, bypassing)) - 1e-4)
    found = refusal_direction(engine, harmful, benign, judge=judge, limits=only, seed=seed)
    place = (found.direction.position, found.direction.layer)
    [chosen] = [c for c in found.candidates if (c.position, c.layer) == place]
    return found, _missed(chosen, depth)


def _induced(candidate: Candidate) -> float:
    return -math.inf if candidate.induce is None else candidate.induce


def _missed(candidate: Candidate, depth: int) -> list[str]:
    """The published limits that a candidate does not meet."""
    limits = Limits()
    kl = math.inf if candidate.kl is None else candidate.kl
    missed = []
    if _induced(candidate) < limits.induce:
        missed.append(f"induced refusal {_induced(candidate):.2f}, published at least {limits.induce:g}")
    if kl > limits.kl:
        missed.append(f"KL {kl:.2f} when ablated, published at most {limits.kl:g}")
    if candidate.layer >= limits.depth * depth:
        missed.append(f"layer {candidate.layer} of {depth}, published below {limits.depth:.0%} of the depth")
    return missed


def _refusal_by_layer(
    engine: TransformersEngine, harmful: Sequence[Request], benign: Sequence[Request], judge: Judge, seed: int
) -> Difference:
    """At the prompt's last token: harmful requests that are refused minus benign ones answered."""
    requests = [*harmful, *benign]
    asked = [direct(request) for request in requests]
    answers = rollouts(engine, asked, Sampling(temperature=0.0, max_new_tokens=32), seed=seed)
    exchanges = [Exchange(r, c, a.text) for r, c, a in zip(requests, asked, answers, strict=True)]
    verdicts = judge.judge(exchanges)
    prompts = engine.prompt_tokens(asked)
    sides: dict[bool, list[Passage]] = {True: [], False: []}
    for request, verdict, prompt in zip(requests, verdicts, prompts, strict=True):
        if verdict.refused is (Answer.YES if request.harmful else Answer.NO):
            sides[request.harmful].append(Passage(tuple(prompt)))
    return difference_in_means(engine, sides[True], sides[False], [PROMPT_LAST])
