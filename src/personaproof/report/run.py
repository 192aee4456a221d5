"""The report of a run directory: whatever its summary, its store and its manifest hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from personaproof.core import Answer, Outcome, StoreError
from personaproof.report.bench import search_bench_headline, search_bench_sections
from personaproof.report.bench_air import air_bench_headline, air_bench_sections
from personaproof.report.bench_costs import (
    directions_bench_headline,
    directions_bench_sections,
    loss_bench_headline,
    loss_bench_sections,
)
from personaproof.report.bench_harden import harden_bench_headline, harden_bench_sections
from personaproof.report.build import (
    LineageRecord,
    build_lineage,
    build_metric_rows,
    build_search_curve,
    build_training_curves,
)
from personaproof.report.confirmation import build_confirmation
from personaproof.report.data import Headline, Heatmap, Lineage, MetricRow, SearchCurve
from personaproof.report.diversity import build_diversity
from personaproof.report.document import ReportData
from personaproof.report.gate import gate_headline, gate_sections
from personaproof.report.headline import build_headline
from personaproof.report.matrix import build_examples, build_heatmap
from personaproof.report.recognition import recognition_headline, recognition_sections
from personaproof.report.section import Section
from personaproof.report.selfplay import build_selfplay
from personaproof.report.trained_on import build_trained_on
from personaproof.report.transfer import build_transfer
from personaproof.report.validation import build_validation
from personaproof.store import RunDirectory, Store

_TITLES = {
    "demo": "The whole loop: audit, evolve, harden, audit again",
    "audit": "Audit",
    "evolve": "Search for personas",
    "harden": "Hardening",
    "recognize": "Who does the model think wrote this?",
    "selfplay": "Self-play: search, train, search again",
    "bench search": "Search strategies side by side",
    "bench harden": "Hardening variants side by side",
    "bench air": "GRPO with and without anchor invariance",
    "bench loss": "The cost of the joint loss",
    "bench directions": "The cost of looking inside",
    "gate": "Does a compliant persona gate refusal?",
}

_BENCHES: Mapping[
    str, tuple[Callable[[Mapping[str, Any]], Headline], Callable[[Mapping[str, Any]], tuple[Section, ...]]]
] = {
    "bench search": (search_bench_headline, search_bench_sections),
    "bench harden": (harden_bench_headline, harden_bench_sections),
    "bench air": (air_bench_headline, air_bench_sections),
    "bench loss": (loss_bench_headline, loss_bench_sections),
    "bench directions": (directions_bench_headline, directions_bench_sections),
    "gate": (gate_headline, gate_sections),
    "recognize": (recognition_headline, recognition_sections),
}
"""By command: what says the outcome of a bench or study in words, and what shows it. It has no arms, searches or
texts."""


def run_report(run: RunDirectory) -> ReportData:
    """Everything the run has to show. Raises StoreError for a run that has not come to its end."""
    summary = run.read_summary()
    stages: Mapping[str, str] = summary.get("stages", {})
    metrics = {arm: summary["metrics"] if arm not in summary else summary[arm] for arm in stages}
    outcomes = {arm: run.store.stage_outcomes(stage) for arm, stage in stages.items()}
    rows = build_metric_rows(metrics, summary.get("differences")) if metrics else ()
    searches: Mapping[str, Mapping[str, Any]] = summary.get("searches", {})
    lineages = {name: _lineage(run.store, name, search) for name, search in searches.items()}
    texts = {name: {node.id: node.text for node in lineage.nodes} for name, lineage in lineages.items()}
    return ReportData(
        title=_TITLES.get(run.manifest.command, run.manifest.command),
        subtitle=str(summary.get("model", {}).get("name", "")),
        arms=tuple(metrics),
        headline=_headline(run.manifest.command, summary, rows, tuple(metrics)),
        metrics=rows,
        heatmaps=_heatmaps(outcomes),
        lineages=tuple(lineages.values()),
        search=tuple(_curve(name, search) for name, search in searches.items()),
        confirmations=tuple(
            build_confirmation(_spoken(name), search, texts[name])
            for name, search in searches.items()
            if search.get("confirmed") is not None
        ),
        diversity=tuple(
            build_diversity(_spoken(name), search["diversity"])
            for name, search in searches.items()
            if search.get("diversity") is not None
        ),
        transfer=build_transfer(summary, texts),
        sections=_sections(run.manifest.command, summary),
        training=build_training_curves(summary.get("training", {}).get("curve", [])),
        examples=build_examples(outcomes) if outcomes else (),
        manifest=run.manifest.model_dump(),
    )


def _headline(
    command: str, summary: Mapping[str, Any], rows: Sequence[MetricRow], arms: Sequence[str]
) -> Headline | None:
    if command in _BENCHES:
        return _BENCHES[command][0](summary)
    return build_headline(rows, arms) if rows else None


def _sections(command: str, summary: Mapping[str, Any]) -> tuple[Section, ...]:
    if command in _BENCHES:
        return _BENCHES[command][1](summary)
    found = (
        build_trained_on(summary.get("trained_on")),
        build_selfplay(summary),
        build_validation(summary.get("training", {}).get("validation", [])),
    )
    return tuple(section for section in found if section is not None)


def _heatmaps(outcomes: Mapping[str, list[Outcome]]) -> tuple[Heatmap, ...]:
    maps = (build_heatmap(outcomes, "attack"), build_heatmap(outcomes, "over_refusal"))
    return tuple(found for found in maps if found is not None)


def _curve(name: str, search: Mapping[str, Any]) -> SearchCurve:
    points = [(point["calls"], point["best_asr"], point["elite_asr"]) for point in search["history"]]
    return build_search_curve(_spoken(name), points, search.get("confirmed_asr"))


def _lineage(store: Store, name: str, search: Mapping[str, Any]) -> Lineage:
    """The search's personas with their evidence, counted from the verdicts in the store."""
    counts: dict[str, list[int]] = {}
    for outcome in store.stage_outcomes(search["stage"]):
        answer = outcome.verdict.attack_success
        if outcome.trial.persona is not None and answer is not Answer.UNJUDGED:
            tally = counts.setdefault(outcome.trial.persona.id, [0, 0])
            tally[0] += answer is Answer.YES
            tally[1] += 1
    found = store.read_lineage(search["search_id"])
    if not found:
        raise StoreError(f"the store has no lineage of search {name!r}; run the search's command again.")
    records: dict[str, LineageRecord] = {}
    for each in found:
        # Found again along another path: shown where it entered, with its first parents.
        if each.persona.id not in records:
            successes, judged = counts.get(each.persona.id, (0, 0))
            records[each.persona.id] = (
                each.persona,
                each.parents,
                each.operation,
                each.generation,
                successes,
                judged,
            )
    return build_lineage(_spoken(name), records.values(), search["elites"])


def _spoken(name: str) -> str:
    return f"{name.replace('_', '-')} search"
