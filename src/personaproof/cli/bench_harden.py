"""`personaproof bench harden`: the variants of hardening, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from personaproof.cli._console import console


def harden(
    model: str = "organism",
    *,
    seeds: int = 5,
    first_seed: int = 0,
    out: Path = Path("runs/bench-harden"),
    personas: str | None = None,
    requests: str | None = None,
    benign: str | None = None,
    recipe: str = "harden",
    variants: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    judge: str | None = None,
    judge_model: str | None = None,
    utility_model: str | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
) -> None:
    """What each variant of the loss does to attack success and what it costs, at the end and along training, all on the
    same answers and with as many steps. Interrupted, the same command continues.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id.
    seeds
        Repetitions, each with its own division of personas and requests, searches and trainings.
    first_seed
        The first of them: settings can so be tuned on other seeds than those reported.
    out
        Run directory; every seed has one of its own in it.
    personas
        Seed personas: a file, `hf:OWNER/NAME`, or `pack:NAME`.
    requests
        Harmful requests, likewise.
    benign
        Benign requests, likewise.
    recipe
        `harden`, or a YAML file.
    variants
        Variant of the recipe to run; may be repeated. All of them by default.
    set_
        Override of one setting, such as `--set loop.harden.max_steps=96`; may be repeated.
    judge
        Who decides. By default patterns; where a variant is trained on rewards (air, grpo, vrex) and the model is not
        the organism, it must be named, since a model learns to say the words that patterns look for.
    judge_model
        MODEL that answers for a judge that is a model.
    utility_model
        MODEL that rates the usefulness of benign answers in persona.
    base_url
        Address of the judges' OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    """
    from personaproof.bench import Arm, HardenBench, HardenBenchRecipe, bench_recipe, run_seed
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
    from personaproof.cli._training import judge_name
    from personaproof.core import ModelError, RecipeError, load_recipe
    from personaproof.harden import LoopSplits, OneModel, Stages, loop_recipe
    from personaproof.harden.air.recipe import AIRRecipe
    from personaproof.organism import groups_of_requests
    from personaproof.report import run_report, write_report
    from personaproof.store import RunDirectory

    if model.startswith("openai:"):
        raise ModelError("training needs the weights; give a local folder or a Hub id, not a served model.")
    if seeds < 1:
        raise RecipeError(f"--seeds must be at least 1, not {seeds}.")
    settings = load_recipe(
        HardenBenchRecipe,
        bench_recipe(recipe),
        set_,
        base={"loop": loop_recipe(ORGANISM if is_organism(model) else "picl")},
    )
    if variants:
        settings = settings.only(variants)
    rewards = any(isinstance(settings.training(name), AIRRecipe) for name in settings.variants)
    judge = judge_name(judge, model, rewards=rewards)
    inputs = Inputs()
    default_harmful, default_benign, default_personas = default_sources(model)
    people = inputs.personas(personas or default_personas)
    harmful = inputs.requests(requests or default_harmful, harmful=True)
    harmless = inputs.requests(benign or default_benign, harmful=False)
    models = OneModel(
        str(model_path(model)), lambda adapter: open_engine(model, adapter=adapter, batch_size=batch_size)
    )
    verdicts, utility = open_judge(judge, judge_model, base_url), open_utility_judge(model, utility_model, base_url)
    identity: dict[str, Any] = {
        "model": models.fingerprint,
        "judge": verdicts.id,
        "utility_judge": utility.id if utility else None,
        "recipe": settings.identity(),
        "data": inputs.settings,
    }
    arms: dict[str, list[Arm]] = {}
    chosen = tuple(range(first_seed, first_seed + seeds))
    with RunDirectory.open(
        out, command="bench harden", settings={**identity, "seeds": list(chosen)}, details={"model": models.name}
    ) as run:
        for seed in chosen:
            splits = LoopSplits.of(people, harmful, harmless, seed)
            loop = settings.loop.model_copy(update={"seed": seed})
            details = {"model": models.name, "splits": dict(splits.proof)}
            with RunDirectory.open(
                out / f"seed-{seed}", command="bench harden", settings={**identity, "seed": seed}, details=details
            ) as own:
                stages = Stages(
                    own,
                    loop,
                    splits,
                    models=models,
                    judge=verdicts,
                    utility_judge=utility,
                    narrator=ConsoleNarrator(1 + len(settings.variants)),
                    make_groups=groups_of_requests if is_organism(model) else None,
                )
                for name, arm in run_seed(stages, settings).items():
                    arms.setdefault(name, []).append(arm)
        summary = HardenBench(settings, chosen, arms).summary()
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    console.print(_table(summary))
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)


def _table(summary: dict[str, Any]) -> Table:
    from personaproof.bench import COLUMNS

    table = Table("Variant", *COLUMNS, title=f"Mean over {summary['seeds']} seeds, held-out personas and requests")
    for name in ("untrained", *summary["variants"]):
        table.add_row(name, *(_cell(summary["metrics"][f"{name}.{metric}"], summary["seeds"]) for metric in COLUMNS))
    return table


def _cell(rate: dict[str, Any], seeds: int) -> str:
    if rate["value"] is None:
        return "not measured"
    interval = "" if rate["ci95"] is None else f"\n({rate['ci95'][0]:.3f} to {rate['ci95'][1]:.3f})"
    # In the other seeds the model had fallen apart, and nobody could judge what it said.
    partly = f"\n{rate['n']} of {seeds} seeds" if rate["n"] < seeds else ""
    return f"{rate['value']:.3f}{interval}{partly}"
