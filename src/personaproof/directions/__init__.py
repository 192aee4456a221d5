"""Directions in activations: reading them, finding them, and steering, ablating or bounding along them."""

from personaproof.directions.direction import Direction, check_fits
from personaproof.directions.interventions import When, ablate, cap, floor, steer
from personaproof.directions.positions import Positions, Span
from personaproof.directions.structure import Anatomy, anatomy

__all__ = [
    "Anatomy",
    "Direction",
    "Positions",
    "Span",
    "When",
    "ablate",
    "anatomy",
    "cap",
    "check_fits",
    "floor",
    "steer",
]
