"""`personaproof demo`: the whole loop on the bundled model organism, in a few minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from personaproof.cli._console import console

TABLE = (
    "direct.asr",
    "persona.asr",
    "persona.worst_asr",
    "fresh_search.asr",
    "benign.rta",
    "benign_persona.rta",
    "utility.in_character",
    "utility.fidelity",
    "unjudged.rate",
)
LOOP_STEPS = 6


def demo(
    *,
    out: Path = Path("runs/demo"),
    seed: int = 0,
    recipe: Path | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
) -> None:
    """Audit the bundled model organism, evolve personas that break it, harden it, and audit it again.

    The audits use personas and requests that neither search nor training saw; a fresh search with the same budget then
    attacks the hardened model. Ends with a before/after table and report.html. Interrupted, the same command continues.

    Parameters
    ----------
    out
        Run directory: manifest.json, run.sqlite, summary.json, report.html and the adapter.
    seed
        Seed of the splits, the answers, the searches and the training.
    recipe
        YAML file with loop settings; those of the built-in recipe hold where it says nothing.
    set_
        Override of one setting, such as `--set evolve.generations=5`; may be repeated.
    """
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import (
        ORGANISM,
        default_sources,
        model_path,
        open_engine,
        open_judge,
        open_utility_judge,
    )
    from personaproof.cli._narrator import ConsoleNarrator
    from personaproof.core import load_recipe
    from personaproof.harden import LoopRecipe, LoopSplits, OneModel, Stages, loop_recipe, planned_calls, run_loop
    from personaproof.report import build_metric_rows, metrics_table, run_report, write_report
    from personaproof.store import RunDirectory

    settings = load_recipe(LoopRecipe, recipe, [*set_, f"seed={seed}"], base=loop_recipe("organism"))
    inputs = Inputs()
    harmful, benign, personas = default_sources(ORGANISM)
    splits = LoopSplits.of(
        inputs.personas(personas),
        inputs.requests(harmful, harmful=True),
        inputs.requests(benign, harmful=False),
        settings.seed,
    )
    console.print(f"At most {planned_calls(settings, splits):,} answers to generate.", highlight=False)
    models = OneModel(str(model_path(ORGANISM)), lambda adapter: open_engine(ORGANISM, adapter=adapter))
    judge, utility = open_judge("patterns"), open_utility_judge(ORGANISM, None)
    identity = {
        "model": models.fingerprint,
        "judge": judge.id,
        "utility_judge": utility.id if utility else None,
        "recipe": settings.identity(),
        "data": inputs.settings,
    }
    details = {"model": models.name, "splits": dict(splits.proof)}
    with RunDirectory.open(out, command="demo", settings=identity, details=details) as run:
        stages = Stages(
            run,
            settings,
            splits,
            models=models,
            judge=judge,
            utility_judge=utility,
            narrator=ConsoleNarrator(LOOP_STEPS),
        )
        result = run_loop(stages)
        summary = {"command": "demo", "seed": settings.seed, **result.summary()}
        run.write_summary(summary)
        arms = {"before": summary["before"], "after": summary["after"]}
        rows = build_metric_rows(arms, summary["differences"], only=TABLE)
        console.print()
        console.print(metrics_table(rows, list(arms), title="Held-out personas and requests, before and after"))
        write_report(run_report(run), run.report_path)
        console.print(f"\nReport: {run.report_path}", highlight=False, soft_wrap=True)
