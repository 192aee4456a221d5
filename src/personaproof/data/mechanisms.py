"""The families of contexts that jailbreak persona-aligned models (essay "The Persona Problem")."""

from __future__ import annotations

from enum import StrEnum


class Mechanism(StrEnum):
    """How a persona text, or the context of a request, works on the model: five families, and none of them."""

    GRADUAL_EROSION = "gradual_erosion"
    """Small steps away from the Assistant, a little with every turn."""
    TECHNICAL_BYPASSING = "technical_bypassing"
    """Code, encodings, modes, filters said to be off, other languages."""
    VALUE_CONFLICT = "value_conflict"
    """Another value set above harmlessness: obedience, loyalty, urgency, openness, gain."""
    CONTEXT_MANIPULATION = "context_manipulation"
    """A setting where other norms hold: fiction, game, experiment, a place without law."""
    IDENTITY_DISPLACEMENT = "identity_displacement"
    """Another self than the Assistant, and no other mechanism that speaks louder."""
    NONE = "none"
    """The plain Assistant, or a text that names no self at all."""
