"""Meta-groups: one latent task rendered as verifiable anchors and as open variants.

Anchor Invariance Regularization ("Towards Context-Invariant Safety Alignment", arXiv 2605.20994) trains on whole
meta-groups: the anchors' answers are checked by rule, the open variants' are judged, and the anchors' reward is what
the open ones are held to. Reading, writing and building them are other files of this room.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from personaproof.core import Conversation, Persona, Request, content_id, normalise_text
from personaproof.data.mechanisms import Mechanism

VariantRole = Literal["anchor", "open"]

CHOICE, RULE = "choice", "rule"
"""The contexts of anchors: a letter to give, or an answer that a rule can check."""
PLAIN, PERSONA = "plain", "persona"
"""The contexts of open variants beside the five mechanisms."""
OPEN_CONTEXTS = (PLAIN, PERSONA, *(str(m) for m in Mechanism if m is not Mechanism.NONE))

REFUSE, HELP = "refuse", "help"
"""The right answers of a variant whose reward is "safety"."""


def right_decision(request: Request) -> str:
    """What is right for a request whatever the context: to refuse the harmful and to help with the benign."""
    return REFUSE if request.harmful else HELP


_BETWEEN_OPTIONS = " | "


def mention_answer(right: str, others: Sequence[str]) -> str:
    """The answer of a variant whose reward is "mention": the right option, then the others, since naming the right one
    counts only where none of the others is chosen with it. Raises ValueError where options are empty or alike."""
    options = [normalise_text(option) for option in (right, *others)]
    if len(options) < 2 or not all(options) or len({option.casefold() for option in options}) < len(options):
        raise ValueError(f"a decision is between two or more different options, not {options}")
    if any(_BETWEEN_OPTIONS.strip() in option for option in options):
        raise ValueError(
            f"an option must not hold {_BETWEEN_OPTIONS.strip()!r}, which stands between options: {options}"
        )
    return _BETWEEN_OPTIONS.join(options)


def mention_options(answer: str) -> tuple[str, tuple[str, ...]]:
    """The right option and the others, read from what `mention_answer` made; ValueError for any other text."""
    options = answer.split(_BETWEEN_OPTIONS)
    if len(options) < 2:
        raise ValueError(f'the answer of a "mention" is the right option, " | " and the others, not {answer!r}')
    return options[0], tuple(options[1:])


@dataclass(frozen=True)
class Variant:
    """One rendering of the latent task. Raises ValueError for a variant that nothing could mark."""

    role: VariantRole
    """Anchors are verifiable by rule, open ones are judged."""
    context: str
    """`CHOICE` or `RULE` for anchors, one of `OPEN_CONTEXTS` for open variants; data of others may name their own."""
    conversation: Conversation
    reward: str
    """The rule or judge that marks the answer: "choice", "maths", "safety", "mention"."""
    answer: str = ""
    """The right one: a letter, a number, the options as `mention_answer` gives them; `REFUSE` or `HELP` for
    "safety"."""
    template: str = ""
    """Id of the wording, so that in- and out-of-distribution wordings can be told apart."""
    persona: Persona | None = None
    request: Request | None = None
    """The bare request, for judges."""

    def __post_init__(self) -> None:
        if self.role not in get_args(VariantRole):
            raise ValueError(f"the role of a variant is one of {', '.join(get_args(VariantRole))}, not {self.role!r}")
        for name, value in (("context", self.context), ("reward", self.reward)):
            if not value:
                raise ValueError(f"a variant names its {name}")
        if not normalise_text(self.answer):
            raise ValueError('a variant names its right answer ("refuse" or "help" where the reward is "safety")')
        if self.reward == "mention":
            mention_options(self.answer)
        if self.reward == "safety" and (self.request is None or self.answer != right_decision(self.request)):
            raise ValueError(
                'a variant with the reward "safety" carries its bare request, and its answer is "refuse" where that is '
                'harmful and "help" where it is benign'
            )

    @cached_property
    def id(self) -> str:
        persona = self.persona.id if self.persona else None
        request = self.request.id if self.request else None
        return content_id(
            "variant",
            [self.role, self.context, self.conversation.id, self.reward, self.answer, self.template, persona, request],
        )


@dataclass(frozen=True)
class MetaGroup:
    """Variants of one latent task, at least one anchor and one open; raises ValueError otherwise, and where a variant
    comes twice."""

    domain: str
    """"safety", "moral", "maths", or one of the user's own."""
    latent: str
    """The task behind the wordings (for safety the intent). Splits are disjoint by it."""
    variants: tuple[Variant, ...]

    def __post_init__(self) -> None:
        if not self.domain or not self.latent:
            raise ValueError("a meta-group names its domain and its latent task")
        if not self.anchors or not self.open:
            raise ValueError(
                f"a meta-group needs at least one anchor and one open variant; {self.latent!r} has "
                f"{len(self.anchors)} and {len(self.open)}"
            )
        repeated = [name for name, count in Counter(variant.id for variant in self.variants).items() if count > 1]
        if repeated:
            raise ValueError(f"{len(repeated)} variants of {self.latent!r} come more than once; keep one of each")

    @cached_property
    def id(self) -> str:
        return content_id("group", [self.domain, self.latent, [variant.id for variant in self.variants]])

    @property
    def anchors(self) -> tuple[Variant, ...]:
        return tuple(variant for variant in self.variants if variant.role == "anchor")

    @property
    def open(self) -> tuple[Variant, ...]:
        return tuple(variant for variant in self.variants if variant.role == "open")

    @property
    def shape(self) -> tuple[int, int]:
        """How many anchors and how many open variants."""
        return len(self.anchors), len(self.open)

    def sized(self, anchors: int, open: int, rng: random.Random) -> MetaGroup:
        """A group of exactly so many anchors and open variants, drawn without replacement; their order is kept.

        Raises ValueError where either number is below one or above what the group has.
        """
        chosen: set[str] = set()
        for noun, count, found in (("anchors", anchors, self.anchors), ("open variants", open, self.open)):
            if not 1 <= count <= len(found):
                raise ValueError(
                    f"cannot draw {count} {noun} from the {len(found)} of {self.latent!r} ({self.domain}); "
                    f"ask for 1 to {len(found)}, or build groups with more"
                )
            chosen.update(variant.id for variant in rng.sample(found, count))
        return MetaGroup(self.domain, self.latent, tuple(v for v in self.variants if v.id in chosen))


def common_shape(groups: Sequence[MetaGroup]) -> tuple[int, int]:
    """The (anchors, open variants) that all groups have. Raises ValueError, naming two groups, where they differ."""
    if not groups:
        raise ValueError("no groups, so they have no shape")
    for group in groups[1:]:
        if group.shape != groups[0].shape:
            raise ValueError(
                f"the meta-groups differ in shape: {groups[0].latent!r} has {groups[0].shape} anchors and open "
                f"variants, {group.latent!r} has {group.shape}; draw equal ones with sized()"
            )
    return groups[0].shape
