"""`personaproof audit`: does the same request get the same decision under every persona?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from personaproof.cli._console import console, progress

if TYPE_CHECKING:
    from personaproof.core import Persona, Request


def audit(
    model: str,
    *,
    requests: str | None = None,
    benign: str | None = None,
    personas: str | None = None,
    adapter: Path | None = None,
    out: Path = Path("runs/audit"),
    judge: str = "patterns",
    judge_model: str | None = None,
    utility_model: str | None = None,
    recipe: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    base_url: str | None = None,
    batch_size: int | None = None,
    store: str | None = None,
    trust_remote_code: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Audit MODEL: the persona x request matrix with its direct control, over-refusal and utility beside safety.

    Leaves manifest.json, run.sqlite, summary.json and report.html in OUT. Interrupted, the same command continues.

    Parameters
    ----------
    model
        `organism`, a local folder, a Hub id, or `openai:NAME` with --base-url.
    requests
        Harmful requests: a JSONL, CSV or JSON file, `hf:OWNER/NAME[:SPLIT]`, or `pack:NAME`. `FILE#field=NAME` names
        the field of the text where it is not recognised; `FILE#filter-labels` keeps, of rows labelled harmful or
        benign, those that are meant; a comma joins the two.
    benign
        Benign requests, likewise: over-refusal and in-character utility are measured on them.
    personas
        Personas, likewise.
    adapter
        PEFT adapter to audit the model with, such as the one `personaproof harden` leaves.
    out
        Run directory.
    judge
        Who decides: patterns, wildguard, llama-guard-3, harmbench, strongreject. The patterns need no model; for a
        real audit use one of the others.
    judge_model
        MODEL that answers for a judge that is a model.
    utility_model
        Chat MODEL that rates benign answers in persona by a rubric (the organism brings its own rater).
    recipe
        YAML file with audit settings (framing, samples, sampling, seed, max_personas, max_requests).
    set_
        Override of one setting, such as `--set sampling.temperature=0`; may be repeated.
    base_url
        Address of the OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    store
        Database URL for the results (PostgreSQL) instead of a file in OUT.
    trust_remote_code
        Run code that a Hub repository brings. Off unless you ask for it.
    """
    from personaproof.audit import AuditRecipe, audit_summary, plan_audit, run_audit
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import default_sources, is_organism, open_engine, open_judge, open_utility_judge
    from personaproof.core import load_recipe
    from personaproof.report import build_metric_rows, metrics_table, run_report, write_report
    from personaproof.store import Collector, RunDirectory

    inputs = Inputs()
    default_harmful, default_benign, default_personas = default_sources(model)
    harmful_requests = inputs.requests(requests or default_harmful, harmful=True)
    benign_requests = inputs.requests(benign or default_benign, harmful=False)
    people = inputs.personas(personas or default_personas)
    base = {"sampling": {"max_new_tokens": 48}} if is_organism(model) else {}
    settings = load_recipe(AuditRecipe, recipe, set_, base=base)
    engine = open_engine(
        model, adapter=adapter, base_url=base_url, batch_size=batch_size, trust_remote_code=trust_remote_code
    )
    verdicts = open_judge(judge, judge_model, base_url)
    utility = open_utility_judge(model, utility_model, base_url)
    plan = plan_audit(settings, people, harmful_requests, benign_requests, supports_system=engine.supports_system)
    console.print(
        f"{plan.calls:,} answers to generate: {len(plan.personas)} personas and the direct control x "
        f"{len(plan.harmful)} harmful and {len(plan.benign)} benign requests, framing {plan.framing}.",
        highlight=False,
    )
    overlap = trained_on(adapter or Path(model), [*plan.personas, *plan.harmful, *plan.benign])
    identity = {
        "model": engine.fingerprint,
        "judge": verdicts.id,
        "utility_judge": utility.id if utility else None,
        "recipe": settings.model_dump(mode="json"),
        "data": inputs.settings,
    }
    details = {"model": engine.name, "adapter": str(adapter) if adapter else None}
    with RunDirectory.open(out, command="audit", settings=identity, details=details, store_url=store) as run:
        with progress("audit") as advance:
            collector = Collector(
                run.store, engine, verdicts, sampling=settings.sampling.build(), seed=settings.seed, progress=advance
            )
            result = run_audit(collector, plan, utility_judge=utility)
        summary = {**audit_summary(result, collector, utility_judge=utility), "stages": {"audit": "audit"}}
        if overlap is not None:
            summary["trained_on"] = overlap
        run.write_summary(summary)
        console.print(metrics_table(build_metric_rows({"audit": summary["metrics"]}), ["audit"]))
        write_report(run_report(run), run.report_path)
        if utility is None:
            console.print("In-character utility was not measured: name a chat model with --utility-model.")
        console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)


def trained_on(weights: Path, items: Sequence[Request | Persona]) -> dict[str, dict[str, int]] | None:
    """How much of an audit's data the model in the folder `weights` was trained on, told on the terminal where it is
    anything; None where there is no record. Raises DataError for a record of another form."""
    from personaproof.data import overlap_with, record_path
    from personaproof.report import trained_on_sentence
    from personaproof.store.files import read_json

    record = read_json(record_path(weights)) if weights.is_dir() else None
    if record is None:
        return None
    found = overlap_with(record, items)
    if said := trained_on_sentence(found):
        console.print(f"[yellow]{said}[/yellow]", highlight=False)
    return found
