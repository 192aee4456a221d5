"""Meta-groups for the commands that train on them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from personaproof.core import DataError
from personaproof.data import MetaGroup, prove_groups_disjoint, split_groups
from personaproof.harden.air.groups import GroupSet

if TYPE_CHECKING:
    from personaproof.bench import AIRBenchRecipe, GroupData


def bench_groups(
    model: str, known: Sequence[MetaGroup], other: Sequence[MetaGroup], recipe: AIRBenchRecipe, seed: int
) -> GroupData:
    """What `bench air` trains and measures on: of the user's groups, `known` to train and, on other tasks, to measure
    in distribution, `other` to measure out of it; or of the organism's own, where there are none. Raises DataError
    where there is too little of a domain, or groups of several shapes."""
    from personaproof.bench import GroupData
    from personaproof.cli._models import is_organism
    from personaproof.organism import organism_groups

    training: list[MetaGroup] = []
    inside: list[MetaGroup] = []
    outside: list[MetaGroup] = []
    if not known and not is_organism(model):
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
    GroupSet(tuple(training))  # refuses groups that no step could hold whole
    return GroupData(tuple(training), {"in": tuple(inside), "out": tuple(outside)})


def bench_proof(data: GroupData) -> dict[str, Any]:
    """The manifest's proof that no task, prompt or request is trained and measured on. Raises DataError where the
    groups out of distribution share wordings or lineage families of personas with the training, or do not name their
    wordings: they would not be out of it."""
    named = {"training": data.training, **data.evaluation}
    proof = prove_groups_disjoint(named)
    shared = next(value for key, value in proof["shared"].items() if set(key.split("|")) == {"training", "out"})
    if any(shared.values()):
        raise DataError(
            f"the groups of --held-out share {shared['templates']} wordings and {shared['families']} lineage families "
            "of personas with those of --groups; give others, or they are not out of distribution."
        )
    if not all(variant.template for groups in named.values() for group in groups for variant in group.variants):
        raise DataError(
            "some variants do not name their wording (`template`), so nothing tells whether it is held out."
        )
    return proof
