"""Requests, personas and meta-groups: loading, built-in packs, and splits that share no intent or lineage family."""

from personaproof.data.builtin import pack_names
from personaproof.data.families import families_of, join_families, shared_families
from personaproof.data.group_builders import GroupPlan, maths_groups, moral_groups, safety_groups
from personaproof.data.group_files import load_groups, read_groups, write_groups
from personaproof.data.load import Duplicate, Loaded, load_personas, load_requests
from personaproof.data.mechanisms import Mechanism
from personaproof.data.metagroups import MetaGroup, Variant, common_shape
from personaproof.data.overlap import overlap_with, record_path, training_record
from personaproof.data.questions import Dilemma, Question, load_dilemmas, load_questions
from personaproof.data.splits import (
    intent_of,
    latent_of,
    prove_disjoint,
    prove_groups_disjoint,
    split_groups,
    split_personas,
    split_requests,
)

__all__ = [
    "Dilemma",
    "Duplicate",
    "GroupPlan",
    "Loaded",
    "Mechanism",
    "MetaGroup",
    "Question",
    "Variant",
    "common_shape",
    "families_of",
    "intent_of",
    "join_families",
    "latent_of",
    "load_dilemmas",
    "load_groups",
    "load_personas",
    "load_questions",
    "load_requests",
    "maths_groups",
    "moral_groups",
    "overlap_with",
    "pack_names",
    "prove_disjoint",
    "prove_groups_disjoint",
    "read_groups",
    "record_path",
    "safety_groups",
    "shared_families",
    "split_groups",
    "split_personas",
    "split_requests",
    "training_record",
    "write_groups",
]
