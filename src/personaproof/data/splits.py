"""Splits that share no intent, lineage family or latent task, and the proof of it for the manifest.

A split is a pure function of the items as a set, the fractions and the seed: the order of the input does not matter.
Groups (intents; lineage families, with those that crossover joined to them) are never cut. Requests of one intent stay
together whether harmful or benign, so a benign twin goes where its harmful theme goes, also when the two are split
separately with the same fractions and seed, as long as both hold the same intents in the same categories.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import combinations
from typing import Any, TypeVar

from personaproof.core import DataError, Persona, RecipeError, Request, content_id, item_seed, normalise_text
from personaproof.data.families import clans, families_of
from personaproof.data.metagroups import MetaGroup, Variant

Item = TypeVar("Item", Request, Persona, MetaGroup)


def split_requests(requests: Iterable[Request], fractions: Mapping[str, float], seed: int) -> dict[str, list[Request]]:
    """Cut requests into named splits, disjoint by intent and stratified by category as far as whole intents allow.

    A request without an intent is its own. Returns a list a split, sorted by id, in the order of `fractions`, which are
    positive and sum to 1 (RecipeError otherwise); they are shares of intents, met to within one or two intents. Every
    split gets at least one; raises DataError when there are fewer intents than splits.
    """
    requests = list(requests)
    categories: dict[str, Counter[str]] = {}
    for request in requests:
        categories.setdefault(intent_of(request), Counter())[request.category] += 1
    # An intent that carries several categories counts under its commonest, the first by name among equals.
    strata = {intent: min(counts, key=lambda name: (-counts[name], name)) for intent, counts in categories.items()}
    return _split(requests, intent_of, strata, fractions, seed, "intents")


def split_personas(personas: Iterable[Persona], fractions: Mapping[str, float], seed: int) -> dict[str, list[Persona]]:
    """Cut personas into named splits, disjoint by lineage family; otherwise as `split_requests`. A persona without a
    family is its own, and families that a crossover child joins (``a+b``) go to one split together."""
    personas = list(personas)
    clan = clans(personas)

    def clan_of(persona: Persona) -> str:
        return clan[min(families_of(persona))]

    return _split(personas, clan_of, dict.fromkeys(clan.values(), ""), fractions, seed, "unrelated lineage families")


def split_groups(groups: Iterable[MetaGroup], shares: Mapping[str, float], seed: int) -> dict[str, list[MetaGroup]]:
    """Cut meta-groups into named splits, disjoint by domain and latent task and stratified by domain; otherwise as
    `split_requests`. Personas and templates may be shared: a held-out persona or wording is the builders' to make."""
    groups = list(groups)
    domains = {latent_of(group): group.domain for group in groups}
    return _split(groups, latent_of, domains, shares, seed, "latent tasks")


def latent_of(group: MetaGroup) -> str:
    """The latent task that splits go by, told apart from one of the same name in another domain."""
    return f"{group.domain}: {group.latent}"


def intent_of(request: Request) -> str:
    """The intent that splits go by; a request that names none is its own."""
    return request.intent or request.id


def _split(
    items: list[Item],
    group_of: Callable[[Item], str],
    strata: Mapping[str, str],
    fractions: Mapping[str, float],
    seed: int,
    noun: str,
) -> dict[str, list[Item]]:
    if not fractions or any(not share > 0 for share in fractions.values()) or abs(sum(fractions.values()) - 1) > 1e-9:
        raise RecipeError(f"the fractions of a split are positive and sum to 1, not {dict(fractions)}.")
    if len(strata) < len(fractions):
        raise DataError(
            f"{len(strata)} {noun} cannot fill {len(fractions)} splits ({', '.join(fractions)}); "
            f"bring more data or fewer splits."
        )
    chosen = _assign(strata, fractions, seed)
    splits: dict[str, list[Item]] = {name: [] for name in fractions}
    for item in sorted(items, key=lambda item: item.id):
        splits[chosen[group_of(item)]].append(item)
    return splits


def _assign(strata: Mapping[str, str], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """A split for each group: groups stratum by stratum, shuffled within, each to the split furthest below its share.

    The running totals never lie a whole group above any split's share, so neither the whole nor a stratum (a
    difference of two running totals) strays far.
    """
    names = sorted(fractions)

    def place(group: str) -> tuple[int, str, int, str]:
        stratum = strata[group]
        return item_seed("stratum", seed, stratum), stratum, item_seed(seed, group), group

    order = sorted(strata, key=place)
    taken: Counter[str] = Counter()
    chosen: dict[str, str] = {}
    for done, group in enumerate(order, start=1):
        chosen[group] = min(names, key=lambda name: (taken[name] - fractions[name] * done, name))
        taken[chosen[group]] += 1
    for name in names:
        if not taken[name]:
            # A share of less than one group: it still gets one, from the split that can best spare it.
            donor = max(
                (other for other in names if taken[other] > 1),
                key=lambda other: (taken[other] - fractions[other] * len(order), other),
            )
            moved = next(group for group in reversed(order) if chosen[group] == donor)
            chosen[moved] = name
            taken[donor] -= 1
            taken[name] += 1
    return chosen


def prove_disjoint(named: Mapping[str, Collection[Request | Persona]]) -> dict[str, Any]:
    """The manifest's proof that named splits share nothing: JSON-ready, the same for any order of items.

    Compares, between every two splits, requests and personas by id, requests by text (the same words loaded once as
    harmful and once as benign have two ids), intents and lineage families. Returns
    ``{"splits": {name: {kind: {"n", "sha256"}}}, "overlaps": {kind: 0}}``, where the hash is over the sorted ids, one a
    line. Raises DataError naming what is shared, and for a split that is empty: there is nothing to prove about it.
    """
    return _prove(
        {name: contents_of(items) for name, items in named.items()}, "split by intent and lineage family before use"
    )


def prove_groups_disjoint(named: Mapping[str, Collection[MetaGroup]]) -> dict[str, Any]:
    """The proof of `prove_disjoint` for meta-groups: no two splits share a latent task, a prompt, or a request by id,
    text or intent. Beside it ``"shared": {"one|other": {"families": n, "templates": n}}`` counts the lineage families
    of personas and the wordings that two splits have in common: 0 where a test is on what was never trained on.
    """
    proof = _prove({name: _group_contents(groups) for name, groups in named.items()}, "split by latent task before use")
    wordings = {
        name: {
            "families": {
                family for v in _variants(groups) if v.persona is not None for family in families_of(v.persona)
            },
            "templates": {v.template for v in _variants(groups) if v.template},
        }
        for name, groups in named.items()
    }
    proof["shared"] = {
        f"{one}|{other}": {kind: len(wordings[one][kind] & wordings[other][kind]) for kind in wordings[one]}
        for one, other in combinations(named, 2)
    }
    return proof


def _prove(contents: Mapping[str, Mapping[str, set[str]]], advice: str) -> dict[str, Any]:
    for name, content in contents.items():
        if not any(content.values()):
            raise DataError(f"the split {name!r} is empty, so nothing can be proved about it.")
    for (one, first), (other, second) in combinations(contents.items(), 2):
        for kind in first:
            shared = sorted(first[kind] & second[kind])
            if shared:
                shown = ", ".join(shared[:3]) + (", ..." if len(shared) > 3 else "")
                raise DataError(f"the splits {one!r} and {other!r} share {len(shared)} {kind} ({shown}); {advice}.")
    kinds = next(iter(contents.values()), {})
    return {
        "splits": {
            name: {kind: {"n": len(ids), "sha256": _digest(ids)} for kind, ids in content.items()}
            for name, content in contents.items()
        },
        "overlaps": dict.fromkeys(kinds, 0),
    }


def contents_of(items: Collection[Request | Persona]) -> dict[str, set[str]]:
    """By kind what no two splits may share: requests, request_texts, intents, personas, families."""
    requests = [item for item in items if isinstance(item, Request)]
    personas = [item for item in items if isinstance(item, Persona)]
    return {
        "requests": {request.id for request in requests},
        "request_texts": {content_id("text", normalise_text(request.text).casefold()) for request in requests},
        "intents": {intent_of(request) for request in requests},
        "personas": {persona.id for persona in personas},
        "families": {family for persona in personas for family in families_of(persona)},
    }


def _variants(groups: Iterable[MetaGroup]) -> list[Variant]:
    return [variant for group in groups for variant in group.variants]


def _group_contents(groups: Collection[MetaGroup]) -> dict[str, set[str]]:
    requests = [variant.request for variant in _variants(groups) if variant.request is not None]
    asked = contents_of(requests)
    return {
        "groups": {group.id for group in groups},
        "latents": {latent_of(group) for group in groups},
        "prompts": {variant.conversation.id for variant in _variants(groups)},
        **{kind: asked[kind] for kind in ("requests", "request_texts", "intents")},
    }


def _digest(ids: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{name}\n" for name in sorted(ids)).encode("utf-8")).hexdigest()
