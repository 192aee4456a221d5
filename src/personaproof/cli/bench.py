"""`personaproof bench`: comparisons, side by side in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from personaproof.cli._console import console

app = App(name="bench")


@app.command
def search(
    model: str = "organism",
    *,
    seeds: int = 5,
    out: Path = Path("runs/bench-search"),
    personas: str | None = None,
    requests: str | None = None,
    recipe: str = "search",
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    judge: str = "patterns",
    judge_model: str | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
) -> None:
    """Target calls that each search strategy needs until its elites' ASR, confirmed on requests no search saw, reaches
    0.80 and 0.90, as ratios to the published search. Interrupted, the same command continues.

    Parameters
    ----------
    model
        `organism`, a local folder, a Hub id, or `openai:NAME` with --base-url.
    seeds
        Repetitions, each with its own split of requests, seed personas and randomness.
    out
        Run directory.
    personas
        Seed personas: a file, `hf:OWNER/NAME`, or `pack:NAME`.
    requests
        Harmful requests, likewise.
    recipe
        `search`, or a YAML file.
    set_
        Override of one setting, such as `--set cap=20000`; may be repeated.
    judge
        Who decides.
    judge_model
        MODEL that answers for a judge that is a model.
    base_url
        Address of the OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    """
    from personaproof.bench import SearchBenchRecipe, bench_recipe, run_search_bench
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import default_sources, open_engine, open_judge
    from personaproof.core import RecipeError, load_recipe
    from personaproof.store import RunDirectory

    if seeds < 1:
        raise RecipeError(f"--seeds must be at least 1, not {seeds}.")
    settings = load_recipe(SearchBenchRecipe, bench_recipe(recipe), set_)
    inputs = Inputs()
    default_harmful, _, default_personas = default_sources(model)
    people = inputs.personas(personas or default_personas)
    asked = inputs.requests(requests or default_harmful, harmful=True)
    engine = open_engine(model, base_url=base_url, batch_size=batch_size)
    verdicts = open_judge(judge, judge_model, base_url)
    most = settings.cap * len(settings.strategies) * seeds
    console.print(f"At most {most:,} target calls to search, and more to confirm elites.", highlight=False)
    identity: dict[str, Any] = {
        "model": engine.fingerprint,
        "judge": verdicts.id,
        "recipe": settings.model_dump(mode="json"),
        "seeds": seeds,
        "data": inputs.settings,
    }
    with RunDirectory.open(out, command="bench search", settings=identity, details={"model": engine.name}) as run:
        bench = run_search_bench(
            run, settings, engine, verdicts, people, asked, seeds, lambda line: console.print(line, highlight=False)
        )
        summary = bench.summary()
        run.write_summary(summary)
    console.print(_table(settings, summary))
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)


def _table(settings: Any, summary: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(title=f"Search strategies over {summary['seeds']} seeds", title_justify="left", header_style="bold")
    table.add_column("strategy")
    levels = [f"{level:.2f}" for level in settings.levels]
    for level in levels:
        table.add_column(f"calls to {level}", justify="right")
        table.add_column("ratio to ple", justify="right")
        table.add_column("reached", justify="right")
    for budget in settings.budgets:
        table.add_column(f"ASR at {budget:,}", justify="right")
    table.add_column(f"estimate - confirmed at {levels[0]}", justify="right")
    table.add_column(f"similarity at {levels[0]}", justify="right")
    for name in settings.strategies:
        metrics, cells = summary["metrics"], []
        for level in levels:
            cells += [
                _shown(metrics[f"{name}.calls_to_{level}"], 0),
                _shown(summary["ratios"][f"{name}.calls_to_{level}"], 3),
                summary["reached"][f"{name}.{level}"],
            ]
        cells += [_shown(metrics[f"{name}.confirmed_asr_at_{budget}"], 2) for budget in settings.budgets]
        cells += [_shown(metrics[f"{name}.{what}_{levels[0]}"], 2) for what in ("gap_at", "similarity_at")]
        table.add_row(name, *cells)
    return table


def _shown(estimate: dict[str, Any], digits: int) -> str:
    if estimate["value"] is None:
        return "-"
    text = f"{estimate['value']:,.{digits}f}"
    if estimate["ci95"] is None:
        return text
    low, high = estimate["ci95"]
    return f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"
