"""The panel: the Assistant as it is by default, and the roles it is told to be. Each is writer and judge in turn."""

from __future__ import annotations

from dataclasses import dataclass

from personaproof.core import Conversation, Persona, RecipeError, Request, direct, framings, resolve_framing
from personaproof.directions import RolePack
from personaproof.recognition.recipe import RecognizeRecipe

ASSISTANT = "Assistant"
LEAST_ROLES = 4
"""Fewer give a correlation over generators without meaning."""


@dataclass(frozen=True)
class Member:
    """`persona` None: no instruction at all, the model as it meets a plain request."""

    name: str
    persona: Persona | None


@dataclass(frozen=True)
class Panel:
    """`members[0]` is the Assistant. `framing` is how personas enter."""

    members: tuple[Member, ...]
    questions: tuple[str, ...]
    framing: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.members)

    def conversation(self, member: int, text: str) -> Conversation:
        """`text` put to a member, as its next words to answer."""
        request = Request(text, harmful=False)
        persona = self.members[member].persona
        return direct(request) if persona is None else framings.get(self.framing).render(persona, request)


def build_panel(recipe: RecognizeRecipe, pack: RolePack, *, supports_system: bool) -> Panel:
    """The pack's Assistant and roles, each by its first instruction, as many as the recipe allows.

    Raises RecipeError for a panel of fewer than four roles or a role that is called like the Assistant, ModelError
    where the framing does not fit the model.
    """
    names = list(pack.roles)[: recipe.max_roles]
    if len(names) < LEAST_ROLES:
        raise RecipeError(
            f"the panel {pack.name!r} has {len(names)} roles; {LEAST_ROLES} are the least to correlate over."
        )
    if clash := [name for name in names if name.strip().casefold() == ASSISTANT.casefold()]:
        raise RecipeError(f"the role {clash[0]!r} of panel {pack.name!r} is called like the reference; rename it.")
    default = pack.default[0]
    members = [
        Member(ASSISTANT, Persona(default) if default else None),
        *(Member(name, Persona(pack.roles[name][0])) for name in names),
    ]
    framing = resolve_framing(recipe.framing, supports_system).name
    return Panel(tuple(members), tuple(pack.questions[: recipe.max_questions]), framing)
