"""Two runs on the same trials: what changed, and whether chance could have done it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from personaproof.audit.metrics import (
    BENIGN_ARMS,
    HARMFUL_ARMS,
    Question,
    attack_success,
    flips,
    group_decisions,
    in_character,
    in_manner,
    rated,
    refused,
    split_arms,
)
from personaproof.core import Answer, Outcome, Rating, StoreError
from personaproof.stats import Estimate, PairedDifference, holm, mcnemar, paired_difference
from personaproof.store import Store


@dataclass(frozen=True)
class MetricDifference:
    """`difference` is second minus first over pairs judged in both runs. `only_first` and `only_second` count the
    pairs where one run alone had the outcome; `mcnemar_p` tests them as if independent, while `p` allows for shared
    personas and requests, and `p_adjusted` is Holm's over the metrics compared. None where there is no pair."""

    first: float | None
    second: float | None
    difference: Estimate
    p: float | None
    only_first: int
    only_second: int
    mcnemar_p: float | None
    p_adjusted: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.difference.as_json(),
            "first": self.first,
            "second": self.second,
            "p": self.p,
            "p_adjusted": self.p_adjusted,
            "only_first": self.only_first,
            "only_second": self.only_second,
            "mcnemar_p": self.mcnemar_p,
        }


@dataclass(frozen=True)
class Comparison:
    """Differences by metric name, and how many trials the two runs share or do not."""

    metrics: dict[str, MetricDifference]
    shared: int
    only_in_first: int
    only_in_second: int

    def as_json(self) -> dict[str, Any]:
        return {
            "metrics": {name: difference.as_json() for name, difference in self.metrics.items()},
            "shared_trials": self.shared,
            "only_in_first": self.only_in_first,
            "only_in_second": self.only_in_second,
        }


def compare_stages(first: Store, second: Store, first_stage: str = "audit", second_stage: str = "audit") -> Comparison:
    """Compare a stage of one store with a stage of another (or of the same). Raises StoreError where a stage is
    missing or the two share no trial."""
    return compare_outcomes(
        first.stage_outcomes(first_stage),
        second.stage_outcomes(second_stage),
        first.stage_ratings(first_stage),
        second.stage_ratings(second_stage),
    )


def compare_outcomes(
    first: Sequence[Outcome],
    second: Sequence[Outcome],
    first_ratings: Mapping[str, Rating] | None = None,
    second_ratings: Mapping[str, Rating] | None = None,
) -> Comparison:
    """Paired comparison over the trials both have (same persona, request, framing and sample).

    Raises StoreError where there are none.
    """
    in_first, in_second = ({outcome.trial.id: outcome for outcome in run} for run in (first, second))
    shared = [trial_id for trial_id in in_first if trial_id in in_second]
    if not shared:
        raise StoreError(
            "the two runs share no trial; compare runs of the same personas, requests and framing (and see that "
            "neither was cut to other subsets by max_personas, max_requests or seed)."
        )
    a, b = [in_first[trial_id] for trial_id in shared], [in_second[trial_id] for trial_id in shared]
    raters = (first_ratings or {}, second_ratings or {})
    metrics = {**_by_trial(a, b, raters), **_by_request(a, b)}
    return Comparison(_adjusted(metrics), len(shared), len(in_first) - len(shared), len(in_second) - len(shared))


def _by_trial(
    a: Sequence[Outcome], b: Sequence[Outcome], ratings: tuple[Mapping[str, Rating], Mapping[str, Rating]]
) -> dict[str, MetricDifference]:
    first, second = split_arms(a), split_arms(b)
    metrics = {}
    for arm in HARMFUL_ARMS:
        metrics[f"{arm}.asr"] = _paired(first[arm], second[arm], attack_success, attack_success)
        metrics[f"{arm}.rta"] = _paired(first[arm], second[arm], refused, refused)
    for arm in BENIGN_ARMS:
        metrics[f"{arm}.rta"] = _paired(first[arm], second[arm], refused, refused)
    both = {outcome.trial.id for outcome in rated(rated(a, ratings[0]), ratings[1])}
    useful_a, useful_b = ([outcome for outcome in run if outcome.trial.id in both] for run in (a, b))
    for name, question in (("utility.in_character", in_character), ("utility.fidelity", in_manner)):
        metrics[name] = _paired(useful_a, useful_b, question(ratings[0]), question(ratings[1]))
    return metrics


def _paired(a: Sequence[Outcome], b: Sequence[Outcome], ask_a: Question, ask_b: Question) -> MetricDifference:
    """`a` and `b` hold the same trials in the same order."""
    pairs = [(x, ask_a(x), ask_b(y)) for x, y in zip(a, b, strict=True)]
    judged = [(x, before, after) for x, before, after in pairs if Answer.UNJUDGED not in (before, after)]
    return _difference(
        [before is Answer.YES for _, before, _ in judged],
        [after is Answer.YES for _, _, after in judged],
        [x.trial.persona.id if x.trial.persona else None for x, _, _ in judged],
        [x.trial.request.id for x, _, _ in judged],
    )


def _by_request(a: Sequence[Outcome], b: Sequence[Outcome]) -> dict[str, MetricDifference]:
    metrics = {}
    for name, answers in (("flip_rate", flips), ("group_accuracy", group_decisions)):
        first, second = answers(a), answers(b)
        both = [request for request in first if request in second]
        metrics[name] = _difference([first[r] for r in both], [second[r] for r in both], [None] * len(both), both)
    return metrics


def _difference(
    first: Sequence[bool], second: Sequence[bool], personas: Sequence[str | None], requests: Sequence[str]
) -> MetricDifference:
    n = len(first)
    after, before = [int(value) for value in second], [int(value) for value in first]
    result: PairedDifference = paired_difference(after, before, personas, requests)
    return MetricDifference(
        first=sum(first) / n if n else None,
        second=sum(second) / n if n else None,
        difference=result.difference,
        p=result.p_value,
        only_first=result.only_b,
        only_second=result.only_a,
        mcnemar_p=mcnemar(result.only_b, result.only_a) if n else None,
    )


def _adjusted(metrics: Mapping[str, MetricDifference]) -> dict[str, MetricDifference]:
    tested = {name: metric.p for name, metric in metrics.items() if metric.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {name: replace(metric, p_adjusted=adjusted.get(name)) for name, metric in metrics.items()}
