"""Meta-groups for the commands that train on them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from personaproof.core import DataError
from personaproof.data import MetaGroup, load_groups, split_groups

if TYPE_CHECKING:
    from personaproof.bench import AIRBenchRecipe, GroupData


def bench_groups(model: str, groups: str | None, held_out: str | None, recipe: AIRBenchRecipe, seed: int) -> GroupData:
    """What `bench air` trains and measures on. Raises DataError where there is too little of a domain."""
    from personaproof.bench import GroupData
    from personaproof.cli._models import ORGANISM
    from personaproof.organism import organism_groups

    if (groups is None) != (held_out is None):
        raise DataError("give both --groups and --held-out, or neither for the organism's own.")
    training: list[MetaGroup] = []
    inside: list[MetaGroup] = []
    outside: list[MetaGroup] = []
    known = load_groups(groups).items if groups else []
    other = load_groups(held_out).items if held_out else []
    if not known and model != ORGANISM:
        raise DataError("nothing to train on: give --groups and --held-out, JSONL files of meta-groups.")
    for domain in recipe.domains:
        if known:
            mine = [group for group in known if group.domain == domain]
            theirs = [group for group in other if group.domain == domain]
        else:
            wanted = 2 * (recipe.groups + recipe.evaluation)  # several groups may share a task, which splits keep whole
            mine = organism_groups(domain, "train", wanted, seed, anchors=recipe.anchors)
            theirs = organism_groups(domain, "held_out", recipe.evaluation, seed, anchors=recipe.anchors)
        total = recipe.groups + recipe.evaluation
        shares = {"training": recipe.groups / total, "evaluation": recipe.evaluation / total}
        parts = split_groups(mine, shares, seed)
        for name, found, count, into in (
            ("to train on", parts["training"], recipe.groups, training),
            ("to measure on", parts["evaluation"], recipe.evaluation, inside),
            ("of --held-out", theirs, recipe.evaluation, outside),
        ):
            if len(found) < count:
                raise DataError(
                    f"{count} meta-groups {name} were asked for in the domain {domain!r}, and there are {len(found)}; "
                    "give more, or lower groups and evaluation."
                )
            into += random.Random(f"{seed}/{name}").sample(list(found), count)
    return GroupData(tuple(training), {"in": tuple(inside), "out": tuple(outside)})
