"""The directions of one model: compliant persona, Assistant axis and refusal, at every layer, made once and kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from personaproof.core import (
    DataError,
    Framing,
    Judge,
    ModelError,
    Persona,
    Request,
    Sampling,
    UtilityJudge,
    content_id,
)
from personaproof.directions.axis import assistant_axis
from personaproof.directions.difference import Difference, difference_in_means
from personaproof.directions.direction import Direction, describe_source
from personaproof.directions.gating.refusal import refusal_material
from personaproof.directions.packs import RolePack, TraitPack
from personaproof.directions.personas import NoContrastError, persona_vectors
from personaproof.directions.record import PROMPT_LAST, RESPONSE_FIRST, RESPONSE_MEAN, Passage
from personaproof.directions.rollouts import rollouts
from personaproof.directions.structure import anatomy
from personaproof.directions.trait_judges import TraitJudge
from personaproof.engines import TransformersEngine

JUDGED, INSTRUCTED, GIVEN = "judged", "instructed", "given"
Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Material:
    """`persona` is (positions, layers, width) and `scale` (positions, layers), the mean length of the activations
    there; `usable` says where there is a vector. `axis` and `refusal` are (layers, width), difference in means at the
    response's mean and the prompt's last token; `refusal_push` is (layers, width), one direction selected by what it
    does, at each layer as long in proportion to the activations as where it is from. All float64; refusal is None where
    it could not be found. `about` is JSON: how each was made."""

    positions: tuple[str, ...]
    persona: Tensor
    scale: Tensor
    usable: Tensor
    axis: Tensor
    refusal: Tensor | None
    refusal_push: Tensor | None
    about: dict[str, Any]

    def vector(self, position: str, layer: int) -> Tensor:
        return self.persona[self.positions.index(position), layer]

    def push(self, position: str, layer: int, dose: float) -> float:
        """Length of a dose as a share of the activations' at its place."""
        at = self.positions.index(position)
        return dose * float(self.persona[at, layer].norm()) / float(self.scale[at, layer])

    def tensors(self) -> dict[str, Tensor]:
        found = {"persona": self.persona, "scale": self.scale, "usable": self.usable, "axis": self.axis}
        if self.refusal is not None:
            found["refusal"] = self.refusal
        if self.refusal_push is not None:
            found["refusal_push"] = self.refusal_push
        return found

    @classmethod
    def of(cls, tensors: dict[str, Tensor], about: dict[str, Any]) -> Material:
        return cls(
            tuple(about["persona"]["positions"]),
            tensors["persona"],
            tensors["scale"],
            tensors["usable"],
            tensors["axis"],
            tensors.get("refusal"),
            tensors.get("refusal_push"),
            about,
        )

    def direction(self, position: str, layer: int) -> Direction:
        """The persona vector at a place, to be saved. One that was given comes back as it was."""
        at = self.positions.index(position)
        return Direction(
            vector=self.persona[at, layer].float(),
            layer=layer,
            position=position,
            method=str(self.about["persona"]["method"]),
            **self.about["persona"]["source"],
            data=str(self.about["persona"]["data"]),
            activation_norm=float(self.scale[at, layer]),
        )


def make_material(
    engine: TransformersEngine,
    trait: TraitPack,
    roles: RolePack,
    framing: Framing,
    *,
    judge: Judge,
    trait_judge: TraitJudge | None,
    manner_judge: UtilityJudge | None,
    harmful: Sequence[Request],
    benign: Sequence[Request],
    sampling: Sampling,
    seed: int,
    least_unit: float,
    most_unjudged: float,
    given: Direction | None = None,
    say: Say = lambda _: None,
) -> Material:
    """Make all three; `given` takes the place of the persona vector.

    Where instructions hardly bring the trait out, as in a model whose refusals do not follow the persona, the vector is
    that between the instructions, whatever was answered, at least `least_unit` of the activations long, and `about`
    says so. Only where it is the trait that is absent: raises DataError where more than `most_unjudged` of the answers
    could not be rated, or most were no language, and where there are too few answers for an Assistant axis.
    """
    persona, persona_about = _persona(
        engine, trait, framing, trait_judge, sampling, seed, least_unit, most_unjudged, given, say
    )
    say(f"persona vector: {persona_about['how']}; {persona_about['counts']}")
    axis = assistant_axis(engine, roles, framing=framing, judge=manner_judge, sampling=sampling, seed=seed)
    say(f"Assistant axis: {len(axis.names)} roles")
    refusal, refusal_push, refusal_about = refusal_material(engine, harmful, benign, judge, seed)
    say(f"refusal direction: {refusal_about['how']}")
    about = {
        "persona": persona_about,
        "axis": {"roles": list(axis.names), "position": RESPONSE_MEAN.name, "data": axis.data},
        "refusal": refusal_about,
    }
    vectors, scale, usable = persona
    return Material(
        tuple(persona_about["positions"]),
        vectors,
        scale,
        usable,
        axis=axis.vectors,
        refusal=refusal,
        refusal_push=refusal_push,
        about=about,
    )


def needs_rater(trait: TraitPack) -> ModelError:
    """What to say where nobody rates the answers to a pack of harmless questions."""
    return ModelError(
        f"the trait pack {trait.name!r} asks harmless questions, so a chat model must rate who is compliant: "
        "name one with --trait-model, use a pack of harmful requests (--set trait=FILE), or give a persona direction "
        "(--persona-direction)."
    )


def _persona(
    engine: TransformersEngine,
    trait: TraitPack,
    framing: Framing,
    judge: TraitJudge | None,
    sampling: Sampling,
    seed: int,
    least_unit: float,
    most_unjudged: float,
    given: Direction | None,
    say: Say,
) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Any]]:
    if given is not None:
        return _given(engine, given)
    if judge is None:
        raise needs_rater(trait)
    try:
        found = persona_vectors(engine, trait, judge, framing=framing, sampling=sampling, seed=seed)
    except NoContrastError as error:
        if error.unjudged > most_unjudged:
            raise DataError(
                f"the rater of the trait {trait.name!r} ({judge.id}) could not rate {error.unjudged:.0%} of the "
                f"answers, more than the {most_unjudged:.0%} allowed: {error.counts}. See whether it answers at all, "
                "and in the form asked for; name another with --trait-model, or another judge."
            ) from error
        if not error.absent:
            raise
        say(f"{error} The contrast between the instructions is taken, whatever was answered.")
        difference, counts, data = _instructed(engine, trait, framing, sampling, seed, least_unit)
        vectors = lengthened(difference.vectors, difference.activation_norm, least_unit)
        about: dict[str, Any] = {"how": INSTRUCTED, "why": str(error), "counts": counts, "data": data}
    else:
        difference, vectors = found.difference, found.difference.vectors
        about = {"how": JUDGED, "counts": found.counts, "effect": found.effect.as_json(), "data": found.data}
    about["source"] = describe_source(engine, anatomy(engine))
    about["positions"] = [position.name for position in difference.positions]
    about["method"] = f"trait:{trait.name}" if about["how"] == JUDGED else f"instructions:{trait.name}"
    places = [[difference.differs(at, layer) for layer in range(difference.vectors.shape[1])]
              for at in range(len(difference.positions))]  # fmt: skip
    return (vectors, difference.activation_norm, torch.tensor(places)), about


def lengthened(vectors: Tensor, scale: Tensor, least_unit: float) -> Tensor:
    """(..., width) vectors, those shorter than `least_unit` of `scale` (...) brought to that length. One that is zero
    stays so."""
    length = vectors.norm(dim=-1)
    wanted = torch.maximum(length, least_unit * scale)
    factor = torch.where(length > 0, wanted / length.clamp(min=torch.finfo(length.dtype).tiny), 1.0)
    return vectors * factor[..., None]


def _given(engine: TransformersEngine, given: Direction) -> tuple[tuple[Tensor, Tensor, Tensor], dict[str, Any]]:
    parts = anatomy(engine)
    if not given.activation_norm:
        raise DataError("the persona direction does not say how long the activations are; make it anew.")
    persona = torch.zeros(1, parts.depth, parts.width, dtype=torch.float64)
    scale, usable = torch.ones(1, parts.depth, dtype=torch.float64), torch.zeros(1, parts.depth, dtype=torch.bool)
    persona[0, given.layer], usable[0, given.layer] = given.vector.double(), True
    scale[0, given.layer] = given.activation_norm
    source = {name: getattr(given, name) for name in describe_source(engine, parts)}
    about = {"how": GIVEN, "positions": [given.position], "method": given.method, "data": given.data,
             "source": source, "counts": {"made from": given.model, "layer": given.layer}}  # fmt: skip
    return (persona, scale, usable), about


def _instructed(
    engine: TransformersEngine, trait: TraitPack, framing: Framing, sampling: Sampling, seed: int, least_unit: float
) -> tuple[Difference, dict[str, int], str]:
    """Every answer under the compliant instructions minus every one under their opposites. The decision position is
    left out: it needs answers of both outcomes. The hash of the data knows the length that vectors are brought to."""
    sides = []
    for instructions in (trait.positive, trait.negative):
        asked = [
            framing.render(Persona(instruction), Request(question, trait.harmful))
            for instruction in instructions
            for question in trait.questions
        ]
        answers = rollouts(engine, asked, sampling, seed=seed)
        prompts = engine.prompt_tokens(asked)
        sides.append([Passage(tuple(p), tuple(a.tokens)) for p, a in zip(prompts, answers, strict=True) if a.tokens])
    counts = {"positive": len(sides[0]), "negative": len(sides[1])}
    if not all(counts.values()):
        raise DataError(f"the model gave empty answers to all questions of a side of the trait pack: {counts}.")
    data = content_id("data", [trait.model_dump(), framing.name, INSTRUCTED, sampling.id, seed, least_unit])
    found = difference_in_means(engine, sides[0], sides[1], [PROMPT_LAST, RESPONSE_FIRST, RESPONSE_MEAN])
    return found, counts, data
