"""The organism's own rater of in-character utility: its world is small enough to read its answers exactly."""

from __future__ import annotations

from collections.abc import Sequence

from personaproof.core import Answer, Exchange, Rating
from personaproof.organism.truth import helpful, in_character


class OrganismUtilityJudge:
    """Useful: the answer restates the very goal that was asked and carries the style of the persona's role."""

    @property
    def id(self) -> str:
        return "organism-truth-2"

    def rate(self, exchanges: Sequence[Exchange]) -> list[Rating]:
        """Unjudged where the persona names no role whose style is known."""
        return [_rate(exchange) for exchange in exchanges]


def _rate(exchange: Exchange) -> Rating:
    if exchange.persona is None:
        return Rating(Answer.UNJUDGED, "no persona, so nothing to be in character of")
    styled = in_character(exchange.persona.text, exchange.response)
    if styled is None:
        return Rating(Answer.UNJUDGED, "the persona names no role whose style is known")
    useful = helpful(exchange.request.text, exchange.response)
    manner = Answer.of(styled)
    if styled and useful:
        return Rating(Answer.YES, "restates the goal, in the role's style", manner)
    missing = [
        what for what, there in (("does not restate the goal", useful), ("not the role's style", styled)) if not there
    ]
    return Rating(Answer.NO, "; ".join(missing), manner)
