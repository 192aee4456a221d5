"""Meta-groups as a training set: the rows that TRL's trainer reads, and the order in which it meets them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch.utils.data import Sampler

from personaproof.core import DataError, Persona, Request, content_id
from personaproof.data import MetaGroup, Variant


@dataclass(frozen=True)
class GroupSet:
    """Meta-groups of one shape, in a fixed order. Raises DataError where shapes differ: a step holds whole groups, and
    all steps hold as many prompts."""

    groups: tuple[MetaGroup, ...]
    left_out: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shapes = Counter(group.shape for group in self.groups)
        if len(shapes) > 1:
            shown = ", ".join(f"{count} of {anchors} + {open_}" for (anchors, open_), count in shapes.most_common())
            raise DataError(
                f"the meta-groups have different numbers of anchors and open variants ({shown}); draw as many of each "
                "(`MetaGroup.sized`), so that every step can hold whole groups."
            )

    @cached_property
    def id(self) -> str:
        return content_id("groups", [group.id for group in self.groups])

    @property
    def counts(self) -> dict[str, int]:
        """Prompts by domain and role, such as ``safety.anchor``."""
        found = Counter(f"{group.domain}.{variant.role}" for group in self.groups for variant in group.variants)
        return dict(sorted(found.items()))

    @property
    def asked(self) -> tuple[Request | Persona, ...]:
        """Its requests and personas; tasks that are no requests, such as sums, have neither."""
        variants = [variant for group in self.groups for variant in group.variants]
        requests = {v.request.id: v.request for v in variants if v.request is not None}
        people = {v.persona.id: v.persona for v in variants if v.persona is not None}
        return (*requests.values(), *people.values())

    @property
    def size(self) -> int:
        """Prompts of a group."""
        return len(self.groups[0].variants)

    @property
    def rewards(self) -> list[str]:
        """Names of the rewards that mark its variants."""
        return sorted({variant.reward for group in self.groups for variant in group.variants})

    def rows(self) -> list[dict[str, Any]]:
        """A row a prompt, the groups one after the other: the columns that `rewards` and the trainer read."""
        return [columns(group, place) for group in self.groups for place in range(len(group.variants))]


def columns(group: MetaGroup, place: int) -> dict[str, Any]:
    """The training row of one variant of a group."""
    variant: Variant = group.variants[place]
    return {
        "prompt": variant.conversation.as_dicts(),
        "group": group.id,
        "place": place,
        "group_size": len(group.variants),
        "domain": group.domain,
        "role": variant.role,
        "context": variant.context,
        "reward": variant.reward,
        "answer": variant.answer,
        "request_text": variant.request.text if variant.request else "",
        "request_harmful": bool(variant.request and variant.request.harmful),
        "persona_text": variant.persona.text if variant.persona else "",
    }


def schedule(domains: Sequence[str], per_step: int, steps: int, seed: int) -> list[list[int]]:
    """Groups (indices) of each step: every domain in proportion to its size, each group as often as any other of its
    domain, give or take one, and none twice in a step where there are enough."""
    if per_step > len(domains):
        raise DataError(
            f"a step of {per_step} meta-groups cannot be filled from {len(domains)}; lower groups_per_step."
        )
    rng = random.Random(f"groups/{seed}")
    members: dict[str, list[int]] = {}
    for index, domain in enumerate(domains):
        members.setdefault(domain, []).append(index)
    queues = {domain: _Deck(indices, rng) for domain, indices in sorted(members.items())}
    shares = {domain: len(indices) / len(domains) for domain, indices in members.items()}
    given = dict.fromkeys(queues, 0)
    chosen: list[list[int]] = []
    for step in range(steps):
        batch: list[int] = []
        for slot in range(per_step):
            drawn = step * per_step + slot + 1
            free = [domain for domain in queues if sum(i in batch for i in members[domain]) < len(members[domain])]
            # The domain furthest behind its share of all draws so far.
            domain = max(free, key=lambda name: (shares[name] * drawn - given[name], name))
            batch.append(queues[domain].draw(batch))
            given[domain] += 1
        chosen.append(batch)
    return chosen


class _Deck:
    """Deals cards in random order, anew when all are dealt."""

    def __init__(self, cards: Sequence[int], rng: random.Random) -> None:
        self.cards, self.rng = list(cards), rng
        self.left: list[int] = []

    def draw(self, held: Sequence[int]) -> int:
        """A card that is not in hand."""
        while True:
            for place, card in enumerate(self.left):
                if card not in held:
                    return self.left.pop(place)
            self.left += self.rng.sample(self.cards, len(self.cards))


class MetaGroupSampler(Sampler[int]):
    """Indices into `GroupSet.rows`, `generations` times each, for all steps of the training in one pass: whole groups
    one after the other, a step's rows as often as TRL asks for its generation batch again.

    A pass that is the whole training knows no epochs, so a resumed training skips to its place and goes on alike.
    """

    def __init__(self, steps: Sequence[Sequence[int]], size: int, generations: int, repeats: int) -> None:
        self.indices = [
            group * size + place
            for step in steps
            for _ in range(repeats)
            for group in step
            for place in range(size)
            for _ in range(generations)
        ]

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


def check_whole(rows: Sequence[Mapping[str, Any]], generations: int) -> None:
    """Raises DataError unless every meta-group in a step has all its prompts, each `generations` times: a group that
    accumulation, several processes or a shuffle has split would be held to anchors that are not there."""
    found: dict[str, Counter[int]] = {}
    sizes: dict[str, int] = {}
    for row in rows:
        found.setdefault(row["group"], Counter())[row["place"]] += 1
        sizes[row["group"]] = row["group_size"]
    for group, places in found.items():
        if set(places) != set(range(sizes[group])) or set(places.values()) != {generations}:
            raise DataError(
                f"meta-group {group} is split: a step holds {sum(places.values())} rollouts of {len(places)} of its "
                f"{sizes[group]} prompts, not {generations} of each; feed the trainer through MetaGroupSampler."
            )
