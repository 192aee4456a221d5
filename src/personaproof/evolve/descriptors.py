"""Descriptors of a persona text: what makes two failures different ones to the people who must mend them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from personaproof.data.mechanisms import Mechanism
from personaproof.evolve.cues import MECHANISM_CUES, REGISTER_CUES, STRONG, Register, tokens
from personaproof.evolve.mutation.proposal import count_words
from personaproof.evolve.regions import Regions

Cell = tuple[str, ...]
"""A niche of the archive: one value an axis."""

AXES = ("mechanism", "register", "length", "region")


class Length(StrEnum):
    """Length band, in words as the search's length limits count them."""

    BRIEF = "brief"
    """Below 25."""
    SHORT = "short"
    """25 to 49."""
    MEDIUM = "medium"
    """50 to 99."""
    LONG = "long"
    """100 and more."""


@dataclass(frozen=True)
class Descriptor:
    """Where a persona stands. `region` numbers the cluster of `Regions` that it was described with."""

    mechanism: Mechanism
    register: Register
    length: Length
    region: int

    @property
    def cell(self) -> Cell:
        """Values in the order of `AXES`."""
        return (self.mechanism.value, self.register.value, self.length.value, str(self.region))


def describe(texts: Sequence[str], regions: Regions | None = None) -> list[Descriptor]:
    """One descriptor a text, in order. Mechanism, register and length are read from the text alone; the region is that
    of `regions`, or of the clusters of these very texts where none are given. No model is asked."""
    if not texts:
        return []
    found = (regions or Regions.fit(texts)).assign(texts)
    return [
        Descriptor(mechanism(text), register(text), length(text), region)
        for text, region in zip(texts, found, strict=True)
    ]


def mechanism(text: str) -> Mechanism:
    """The mechanism whose cues weigh most; of equals, the first in the order of `Mechanism`, rarer ones first.

    A single weak cue decides nothing. Without a decision, a text that speaks to a "you" displaces the identity, unless
    it says that the model is the assistant.
    """
    words = tokens(text)
    if best := _heaviest(MECHANISM_CUES.scores(words), tuple(Mechanism), STRONG):
        return Mechanism(best)
    spoken_to = not _SECOND_PERSON.isdisjoint(words)
    return Mechanism.IDENTITY_DISPLACEMENT if spoken_to and _ASSISTANT.isdisjoint(words) else Mechanism.NONE


def register(text: str) -> Register:
    """The register whose cues weigh most; of equals, the first in the order of `Register`; plain without any cue."""
    best = _heaviest(REGISTER_CUES.scores(tokens(text)), tuple(Register), 1)
    return Register(best) if best else Register.PLAIN


def length(text: str) -> Length:
    """The band of the text's number of words."""
    count = count_words(text)
    return next((band for band, below in _BANDS if count < below), Length.LONG)


def counts(descriptors: Sequence[Descriptor]) -> dict[str, Counter[str]]:
    """How many descriptors have each value, by axis."""
    cells = [each.cell for each in descriptors]
    return {axis: Counter(cell[place] for cell in cells) for place, axis in enumerate(AXES)}


_BANDS = ((Length.BRIEF, 25), (Length.SHORT, 50), (Length.MEDIUM, 100))
_SECOND_PERSON = frozenset(tokens("you your you're you've you'd you'll yours yourself"))
_ASSISTANT = frozenset(tokens("assistant chatbot"))


def _heaviest(scores: Mapping[str, int], order: Sequence[str], least: int) -> str | None:
    best = max(scores.values(), default=0)
    return next(label for label in order if scores.get(label) == best) if best >= least else None
