"""Searching for personas that break a model: lineage and credit, selection, mutation, strategies, confirmation."""

from personaproof.evolve.archive import Archive, select_diverse
from personaproof.evolve.confirm import Confirmation, Confirmed, confirm
from personaproof.evolve.descriptors import Descriptor, describe
from personaproof.evolve.diversity import diversity_summary, farthest_first, training_personas
from personaproof.evolve.evidence import Candidate, Evidence, Query, gather_evidence
from personaproof.evolve.lineage import Lineage
from personaproof.evolve.mutation import (
    GrammarMutator,
    LlmMutator,
    MutationContext,
    Mutator,
    Operation,
    Problem,
    Proposal,
    mutators,
)
from personaproof.evolve.recipe import EvolveRecipe, recipe_path
from personaproof.evolve.recording import cached_generate, lineage_recorder
from personaproof.evolve.regions import Regions, sentence_embeddings
from personaproof.evolve.result import Found, Generation, SearchResult
from personaproof.evolve.search import Halt, RecordLineage, SearchStopped, choose_requests, run_search
from personaproof.evolve.strategies import LineageThompson, PersonaGa, RandomSearch, ReferencePle, Strategy, strategies
from personaproof.evolve.summary import search_summary
from personaproof.evolve.transfer import Transfer, transfer

__all__ = [
    "Archive",
    "Candidate",
    "Confirmation",
    "Confirmed",
    "Descriptor",
    "Evidence",
    "EvolveRecipe",
    "Found",
    "Generation",
    "GrammarMutator",
    "Halt",
    "Lineage",
    "LineageThompson",
    "LlmMutator",
    "MutationContext",
    "Mutator",
    "Operation",
    "PersonaGa",
    "Problem",
    "Proposal",
    "Query",
    "RandomSearch",
    "RecordLineage",
    "ReferencePle",
    "Regions",
    "SearchResult",
    "SearchStopped",
    "Strategy",
    "Transfer",
    "cached_generate",
    "choose_requests",
    "confirm",
    "describe",
    "diversity_summary",
    "farthest_first",
    "gather_evidence",
    "lineage_recorder",
    "mutators",
    "recipe_path",
    "run_search",
    "search_summary",
    "select_diverse",
    "sentence_embeddings",
    "strategies",
    "training_personas",
    "transfer",
]
