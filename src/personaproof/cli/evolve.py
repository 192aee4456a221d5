"""`personaproof evolve`: search for personas that make a model comply."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from personaproof.cli._console import console, progress
from personaproof.cli._stopping import graceful_stop, read_budget
from personaproof.core import Answer, Conversation, Engine, Exchange, Judge, Message, Request


def evolve(
    model: str,
    *,
    personas: str | None = None,
    requests: str | None = None,
    adapter: Path | None = None,
    out: Path = Path("runs/evolve"),
    recipe: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    confirm_share: float = 0.4,
    judge: str = "patterns",
    judge_model: str | None = None,
    mutator_engine: str | None = None,
    budget: str | None = None,
    transfer_to: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    base_url: str | None = None,
    batch_size: int | None = None,
    store: str | None = None,
) -> None:
    """Evolve personas that break MODEL, and confirm the best on requests the search never saw. Leaves elites.jsonl, a
    persona file for `audit` and `harden`, beside the report. Ctrl-C ends the search after the generation under way and
    reports what it found; a second one stops at once. Either way, the same command continues.

    Parameters
    ----------
    model
        `organism`, a local folder, a Hub id, or `openai:NAME` with --base-url.
    personas
        Seed personas: a file, `hf:OWNER/NAME`, or `pack:NAME`; `FILE#field=NAME` names a column.
    requests
        Harmful requests, likewise; split by intent into those the search sees and those that confirm.
    adapter
        PEFT adapter to search with.
    out
        Run directory.
    recipe
        `thompson` (the default), `ple` (the published schedule), `organism`, or a YAML file.
    set_
        Override of one setting, such as `--set generations=5`, `--set mutator=llm`; may be repeated.
    confirm_share
        Share of the intents kept back to confirm the elites.
    judge
        Who decides: patterns, wildguard, llama-guard-3, harmbench, strongreject.
    judge_model
        MODEL that answers for a judge that is a model.
    mutator_engine
        MODEL that rewrites personas, for `--set mutator=llm`; it need not be the one attacked.
    budget
        Most target calls of the search (`3000`), or time after which no new generation begins (`90s`, `30m`, `2h`).
    transfer_to
        Another MODEL to put the elites to; may be repeated.
    base_url
        Address of the OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    store
        Database URL for the results (PostgreSQL) instead of a file in OUT.
    """
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import ORGANISM, address_for, default_sources, is_organism, open_engine, open_judge
    from personaproof.core import RecipeError, load_recipe, resolve_framing
    from personaproof.data import prove_disjoint, split_requests
    from personaproof.evolve import (
        EvolveRecipe,
        MutationContext,
        cached_generate,
        confirm,
        lineage_recorder,
        mutators,
        recipe_path,
        run_search,
        search_summary,
        transfer,
    )
    from personaproof.report import run_report, write_report
    from personaproof.store import Collector, RunDirectory

    calls, seconds = read_budget(budget)
    overrides = (*set_, f"budget={calls}") if calls is not None else set_
    settings = load_recipe(
        EvolveRecipe, recipe_path(recipe or (ORGANISM if is_organism(model) else "thompson")), overrides
    )
    if not 0 < confirm_share < 1:
        raise RecipeError(f"--confirm-share must lie between 0 and 1, not {confirm_share}.")
    inputs = Inputs()
    default_harmful, _, default_personas = default_sources(model)
    seeds = inputs.personas(personas or default_personas)
    asked = inputs.requests(requests or default_harmful, harmful=True)
    parts = split_requests(asked, {"search": 1 - confirm_share, "confirm": confirm_share}, settings.seed)
    engine = open_engine(model, adapter=adapter, base_url=base_url, batch_size=batch_size)
    verdicts = open_judge(judge, judge_model, base_url)
    framing = resolve_framing(settings.framing, engine.supports_system).name
    console.print(
        f"At most {settings.planned_calls + settings.elites * len(parts['confirm']):,} answers to generate: "
        f"{settings.planned_calls:,} by the search, the rest to confirm its elites.",
        highlight=False,
    )
    identity: dict[str, Any] = {
        "model": engine.fingerprint,
        "judge": verdicts.id,
        "recipe": settings.model_dump(mode="json"),
        "confirm_share": confirm_share,
        "mutator_engine": mutator_engine,
        "data": inputs.settings,
    }
    details = {"model": engine.name, "splits": prove_disjoint(parts)}
    with RunDirectory.open(out, command="evolve", settings=identity, details=details, store_url=store) as run:
        context = MutationContext(settings.min_words, settings.max_words)
        if mutator_engine is not None:
            writer = open_engine(mutator_engine, base_url=address_for(mutator_engine, base_url), batch_size=batch_size)
            context = MutationContext(
                settings.min_words, settings.max_words, cached_generate(run.store, writer), _refusals()
            )
        mutator = mutators.get(settings.mutator)(context)

        def evaluate(stage: str, advance: Callable[[int, int], None] | None = None, target: Engine = engine) -> Any:
            collector = Collector(
                run.store, target, verdicts, sampling=settings.sampling.build(), seed=settings.seed, progress=advance
            )
            return collector.for_stage(stage)

        with progress("search") as advance, graceful_stop(seconds) as halt:
            result = run_search(
                settings,
                seeds,
                parts["search"],
                evaluate("search"),
                mutator,
                framing=framing,
                record=lineage_recorder(run.store),
                progress=advance,
                halt=halt,
            )
        with progress("confirm the elites") as advance:
            confirmation = confirm(result, parts["confirm"], evaluate("confirm", advance))
        search = search_summary(result, "search", confirmation)
        transfers = []
        for name in transfer_to:
            with progress(f"transfer to {name}") as advance:
                other = open_engine(name, base_url=address_for(name, base_url), batch_size=batch_size)
                moved = transfer(
                    result,
                    parts["confirm"],
                    evaluate(f"transfer/{name}", advance, other),
                    model=other.name,
                    fingerprint=other.fingerprint,
                    framing=resolve_framing(settings.framing, other.supports_system).name,
                )
            transfers.append(moved.as_json())
            rate, alone = moved.elites.asr, moved.direct
            console.print(
                f"On {other.name}: {_rate(rate.value, rate.low, rate.high)}, "
                f"without a persona {_rate(alone.value, alone.low, alone.high)}.",
                highlight=False,
            )
        run.write_summary(
            {
                "schema_version": 1,
                "command": "evolve",
                "model": {"name": engine.name, "fingerprint": engine.fingerprint},
                "judge": verdicts.id,
                "framing": framing,
                "metrics": {"elite.asr": confirmation.asr.as_json()},
                "stages": {"confirm": "confirm"},
                "searches": {"search": search},
                "transfer": transfers,
            }
        )
        elites = run.path / "elites.jsonl"
        with elites.open("w", encoding="utf-8") as file:
            for each in confirmation.personas:
                row = {
                    "persona": each.persona.text,
                    "family": each.persona.family,
                    "search_asr": each.found.asr.as_json(),
                    "confirmed_asr": each.asr.as_json(),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
        write_report(run_report(run), run.report_path)
    shown = "none could be scored" if search["search_asr"] is None else f"{search['search_asr']:.2f}"
    confirmed = confirmation.asr
    console.print(
        f"{len(result.elites)} elites of {len(result.lineage)} personas after {result.calls:,} target calls "
        f"({result.stop_reason}).\nMean ASR in the search: {shown}, which is optimistic because it was selected on.\n"
        f"Mean ASR on fresh requests: {_rate(confirmed.value, confirmed.low, confirmed.high)} (n {confirmed.n:,}).",
        highlight=False,
    )
    if problems := {k: v for k, v in result.mutations.items() if k.startswith("problems.") or (k == "skipped" and v)}:
        console.print("Mutation: " + ", ".join(f"{name} {count}" for name, count in problems.items()), highlight=False)
    console.print(f"Personas: {elites}\nReport: {run.report_path}", highlight=False, soft_wrap=True)


def _rate(value: float | None, low: float | None, high: float | None) -> str:
    return "not judged" if value is None else f"{value:.2f} (95 % interval {low:.2f} to {high:.2f})"


def _refusals() -> Callable[[str], bool]:
    """Whether a text is a refusal, by the pattern judge: a mutator's own refusal must not become a persona."""
    from personaproof.cli._models import open_judge

    judge: Judge = open_judge("patterns")
    asked = Request("Rewrite the description of a character.", harmful=False)
    conversation = Conversation((Message("user", asked.text),))
    return lambda text: judge.judge([Exchange(asked, conversation, text)])[0].refused is Answer.YES
