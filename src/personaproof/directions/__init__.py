"""Directions in activations: reading them, finding them, and steering, ablating or bounding along them."""

from personaproof.directions.axis import AssistantAxis, assistant_axis, axis
from personaproof.directions.decision import decision_indices
from personaproof.directions.difference import Difference, difference_in_means
from personaproof.directions.direction import Direction, check_fits
from personaproof.directions.files import load_direction, save_direction
from personaproof.directions.gguf import export_gguf
from personaproof.directions.interventions import When, ablate, cap, floor, steer
from personaproof.directions.packs import RolePack, TraitPack, load_roles, load_trait, role_pack_names, trait_names
from personaproof.directions.personas import PersonaVectors, persona_vectors
from personaproof.directions.positions import Positions, Span
from personaproof.directions.record import (
    DECISION,
    PROMPT_LAST,
    RESPONSE_FIRST,
    RESPONSE_MEAN,
    Means,
    Passage,
    Position,
    mean_activations,
    passages,
    record,
    template_positions,
)
from personaproof.directions.refusal import Candidate, Limits, NoDirectionError, RefusalDirection, refusal_direction
from personaproof.directions.refusal_score import divergence, next_logits, refusal_score
from personaproof.directions.rollouts import rollouts
from personaproof.directions.structure import Anatomy, anatomy
from personaproof.directions.trait_judges import ComplianceTraitJudge, RubricTraitJudge, TraitJudge, TraitRating

__all__ = [
    "DECISION",
    "PROMPT_LAST",
    "RESPONSE_FIRST",
    "RESPONSE_MEAN",
    "Anatomy",
    "AssistantAxis",
    "Candidate",
    "ComplianceTraitJudge",
    "Difference",
    "Direction",
    "Limits",
    "Means",
    "NoDirectionError",
    "Passage",
    "PersonaVectors",
    "Position",
    "Positions",
    "RefusalDirection",
    "RolePack",
    "RubricTraitJudge",
    "Span",
    "TraitJudge",
    "TraitPack",
    "TraitRating",
    "When",
    "ablate",
    "anatomy",
    "assistant_axis",
    "axis",
    "cap",
    "check_fits",
    "decision_indices",
    "difference_in_means",
    "divergence",
    "export_gguf",
    "floor",
    "load_direction",
    "load_roles",
    "load_trait",
    "mean_activations",
    "next_logits",
    "passages",
    "persona_vectors",
    "record",
    "refusal_direction",
    "refusal_score",
    "role_pack_names",
    "rollouts",
    "save_direction",
    "steer",
    "template_positions",
    "trait_names",
]
