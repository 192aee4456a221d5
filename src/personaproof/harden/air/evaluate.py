"""How a model does on meta-groups: right answers by prompt, and groups that are right throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from personaproof.core import Answer, Engine, Job, Progress, Sampling, generate_all
from personaproof.data import MetaGroup
from personaproof.harden.air.groups import columns
from personaproof.harden.air.rewards import SCALE, Scale
from personaproof.harden.method import Reward
from personaproof.stats import Estimate, clustered_rate, wilson


@dataclass(frozen=True)
class GroupScores:
    """Marks of answers to meta-groups, one a variant, and the rates they give.

    An answer that could not be judged counts in no rate; a group is right where all its variants are, wrong where one
    is wrong, and otherwise undecided ("Towards Context-Invariant Safety Alignment", arXiv 2605.20994: Acc, Acc_group).
    """

    groups: tuple[MetaGroup, ...]
    right: tuple[tuple[Answer, ...], ...]
    """``right[g][v]``: whether the answer to variant v of group g was right."""

    def accuracy(self, role: str | None = None) -> Estimate:
        """Share of right answers, clustered by group and by context; of one role's variants where it is named."""
        values, contexts, owners = [], [], []
        for group, answers in zip(self.groups, self.right, strict=True):
            for variant, answer in zip(group.variants, answers, strict=True):
                if answer is not Answer.UNJUDGED and role in (None, variant.role):
                    values.append(answer is Answer.YES)
                    contexts.append(variant.context)
                    owners.append(group.id)
        return clustered_rate(values, contexts, owners)

    @property
    def group_accuracy(self) -> Estimate:
        """Share of groups with every variant right, with Wilson's interval."""
        whole = [_all_right(answers) for answers in self.right]
        decided = [answer for answer in whole if answer is not Answer.UNJUDGED]
        return wilson(sum(answer is Answer.YES for answer in decided), len(decided))

    @property
    def unjudged(self) -> Estimate:
        answers = [answer for group in self.right for answer in group]
        return wilson(sum(answer is Answer.UNJUDGED for answer in answers), len(answers))

    def only(self, keep: Callable[[MetaGroup], bool]) -> GroupScores:
        """The scores of some groups."""
        chosen = [(group, right) for group, right in zip(self.groups, self.right, strict=True) if keep(group)]
        return GroupScores(tuple(group for group, _ in chosen), tuple(right for _, right in chosen))

    def as_json(self) -> dict[str, Any]:
        """Rates under flat names."""
        rates: Mapping[str, Estimate] = {
            "acc": self.accuracy(),
            "acc.anchor": self.accuracy("anchor"),
            "acc.open": self.accuracy("open"),
            "acc_group": self.group_accuracy,
            "unjudged.rate": self.unjudged,
        }
        return {name: rate.as_json() for name, rate in rates.items()}


def score_groups(
    engine: Engine,
    groups: Sequence[MetaGroup],
    reward: Reward,
    *,
    sampling: Sampling,
    seed: int = 0,
    scale: Scale = SCALE,
    progress: Progress | None = None,
) -> GroupScores:
    """Put every variant to `engine` once and mark the answers; right is what earns at least `scale.right`."""
    rows = [columns(group, place) for group in groups for place in range(len(group.variants))]
    asked = [Job(variant.conversation, sampling, seed) for group in groups for variant in group.variants]
    keys = [job.key(engine.fingerprint) for job in asked]
    texts: dict[str, str] = {}
    # Two groups may share a prompt; it is answered once.
    unique = list(dict(zip(keys, asked, strict=True)).values())
    for completions in generate_all(engine, unique):
        texts.update({completion.key: completion.text for completion in completions})
        if progress is not None:
            progress(len(texts), len(unique))
    completions_ = [[{"role": "assistant", "content": texts[key]}] for key in keys]
    named = {name: [row[name] for row in rows] for name in rows[0] if name != "prompt"} if rows else {}
    marks = iter(reward([row["prompt"] for row in rows], completions_, **named))
    right = tuple(
        tuple(Answer.of(None if (mark := next(marks)) is None else mark >= scale.right) for _ in group.variants)
        for group in groups
    )
    return GroupScores(tuple(groups), right)


def _all_right(answers: Sequence[Answer]) -> Answer:
    if Answer.NO in answers:
        return Answer.NO
    return Answer.UNJUDGED if Answer.UNJUDGED in answers else Answer.YES
