"""`personaproof selfplay`: search and training in turn, until a fresh search finds nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from personaproof.cli._console import console
from personaproof.cli.demo import TABLE


def selfplay(
    model: str,
    *,
    personas: str | None = None,
    requests: str | None = None,
    benign: str | None = None,
    out: Path = Path("runs/selfplay"),
    recipe: str | None = None,
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    judge: str = "patterns",
    judge_model: str | None = None,
    utility_model: str | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
) -> None:
    """Harden MODEL round by round: search it, train on all that was found, search it afresh, until that finds nothing.

    Ends with a before/after table on personas and requests that nothing in the rounds saw, and a table of every round's
    personas against every round's model. Leaves an adapter a round in OUT/round_N. Interrupted, the same command
    continues.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id.
    personas
        Seed personas: a file, `hf:OWNER/NAME`, or `pack:NAME`; divided by family between training and checks.
    requests
        Harmful requests, likewise; divided by intent.
    benign
        Benign requests, likewise.
    out
        Run directory.
    recipe
        `organism`, `picl` (the published training settings with our preservation term), or a YAML file.
    seed
        Seed of the divisions, the answers, the searches and the trainings.
    set_
        Override of one setting, such as `--set rounds=2`, `--set harden.max_steps=100`; may be repeated.
    judge
        Who decides: patterns, wildguard, llama-guard-3, harmbench, strongreject.
    judge_model
        MODEL that answers for a judge that is a model.
    utility_model
        MODEL that rates the usefulness of benign answers in persona.
    base_url
        Address of the judges' OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    """
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import (
        ORGANISM,
        default_sources,
        is_organism,
        model_path,
        open_engine,
        open_judge,
        open_utility_judge,
    )
    from personaproof.cli._narrator import ConsoleNarrator
    from personaproof.core import ModelError, load_recipe
    from personaproof.harden import (
        CHECK_SHARE,
        LoopSplits,
        OneModel,
        SelfPlayRecipe,
        Stages,
        planned_selfplay_calls,
        run_selfplay,
        selfplay_recipe,
    )
    from personaproof.report import build_metric_rows, metrics_table, run_report, write_report
    from personaproof.store import RunDirectory

    if model.startswith("openai:"):
        raise ModelError("training needs the weights; give a local folder or a Hub id, not a served model.")
    name = recipe or (ORGANISM if is_organism(model) else "picl")
    base, path = selfplay_recipe(name)
    settings = load_recipe(SelfPlayRecipe, path, [*set_, f"seed={seed}"], base=base)
    inputs = Inputs()
    default_harmful, default_benign, default_personas = default_sources(model)
    splits = LoopSplits.of(
        inputs.personas(personas or default_personas),
        inputs.requests(requests or default_harmful, harmful=True),
        inputs.requests(benign or default_benign, harmful=False),
        settings.seed,
        check=CHECK_SHARE,
    )
    console.print(f"At most {planned_selfplay_calls(settings, splits):,} answers to generate.", highlight=False)
    models = OneModel(
        str(model_path(model)), lambda adapter: open_engine(model, adapter=adapter, batch_size=batch_size)
    )
    verdicts, utility = open_judge(judge, judge_model, base_url), open_utility_judge(model, utility_model, base_url)
    identity = {
        "model": models.fingerprint,
        "judge": verdicts.id,
        "utility_judge": utility.id if utility else None,
        "recipe": settings.identity(),
        "data": inputs.settings,
    }
    details = {"model": models.name, "splits": dict(splits.proof)}
    with RunDirectory.open(out, command="selfplay", settings=identity, details=details) as run:
        stages = Stages(
            run,
            settings,
            splits,
            models=models,
            judge=verdicts,
            utility_judge=utility,
            narrator=ConsoleNarrator(settings.rounds + 3),
        )
        result = run_selfplay(stages, settings)
        summary = {"command": "selfplay", "seed": settings.seed, **result.summary()}
        run.write_summary(summary)
        arms = {"before": summary["before"], "after": summary["after"]}
        rows = build_metric_rows(arms, summary["differences"], only=TABLE)
        console.print()
        console.print(metrics_table(rows, list(arms), title="Held-out personas and requests, before and after"))
        write_report(run_report(run), run.report_path)
    console.print(f"\n{result.stop_reason[0].upper()}{result.stop_reason[1:]}.", highlight=False)
    console.print(f"Adapter: {result.rounds[-1].training.path}", highlight=False, soft_wrap=True)
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
