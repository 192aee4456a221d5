"""`personaproof bench`: comparisons, side by side in one run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from personaproof.cli._console import console, progress

app = App(name="bench")
app.command(
    "personaproof.cli.bench_harden:harden", name="harden", help="What each variant of the loss does, and costs."
)
app.command("personaproof.cli.bench_loss:loss", name="loss")
app.command("personaproof.cli.bench_air:air", name="air")
app.command("personaproof.cli.bench_directions:directions", name="directions")


@app.command
def search(
    model: str = "organism",
    *,
    seeds: int = 5,
    first_seed: int = 0,
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
    first_seed
        The first of them: settings can so be tuned on other seeds than those reported.
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
    from personaproof.report import run_report, write_report
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
    most = seeds * sum(min(settings.cap, each.budget or settings.cap) for each in settings.strategies.values())
    console.print(f"At most {most:,} target calls to search, and more to confirm elites.", highlight=False)
    identity: dict[str, Any] = {
        "model": engine.fingerprint,
        "judge": verdicts.id,
        "recipe": settings.model_dump(mode="json"),
        "seeds": [first_seed, seeds],
        "data": inputs.settings,
    }
    with RunDirectory.open(out, command="bench search", settings=identity, details={"model": engine.name}) as run:
        bench = run_search_bench(
            run,
            settings,
            engine,
            verdicts,
            people,
            asked,
            range(first_seed, first_seed + seeds),
            lambda line: console.print(line, highlight=False),
            progress,
        )
        summary = bench.summary()
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    for table in _tables(settings, summary):
        console.print(table)
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)


@app.command
def scale(*, strategy: str = "thompson", sizes: tuple[int, ...] = (1_000, 10_000, 30_000, 100_000)) -> None:
    """What ask and tell cost a persona as the lineage grows, without a model.

    Parameters
    ----------
    strategy
        `thompson`, `ple`, `persona-ga` or `random`.
    sizes
        Personas in the lineage at which to measure, ascending.
    """
    from personaproof.bench import measure_scale

    console.print(f"{strategy}: new personas / ms each (ask + tell) / kB each (peak memory)", highlight=False)
    measure_scale(
        strategy,
        sorted(set(sizes)),
        tell=lambda point: console.print(
            f"{point.personas:>9,}  {point.milliseconds:8.3f} ms  {point.kilobytes:8.2f} kB", highlight=False
        ),
    )


def _tables(settings: Any, summary: dict[str, Any]) -> list[Any]:
    """What each level costs, and how strategies compare at equal calls."""
    from rich.table import Table

    metrics, ratios, seeds = summary["metrics"], summary["ratios"], summary["seeds"]
    costs = Table(title=f"Target calls to a confirmed ASR, {seeds} seeds", title_justify="left", header_style="bold")
    against = settings.reference
    headings = ["strategy", "ASR", "reached", f"{against} reached", "calls", f"ratio to {against}"]
    for heading in (*headings, "estimate - confirmed", "similarity"):
        costs.add_column(heading, justify="left" if heading == "strategy" else "right")
    for name in settings.strategies:
        for level in settings.levels:
            key = f"{name}.{{}}_{level:.2f}".format
            costs.add_row(
                name,
                f"{level:.2f}",
                summary["reached"][f"{name}.{level:.2f}"],
                summary["reached"][f"{against}.{level:.2f}"],
                _shown(metrics[key("calls_to")], 0),
                _ratio(ratios, key("calls_to")),
                _shown(metrics[key("gap_at")], 3),
                _shown(metrics[key("similarity_at")], 3),
            )
    equal = Table(title="Confirmed ASR at equal calls", title_justify="left", header_style="bold")
    equal.add_column("strategy")
    for budget in settings.budgets:
        equal.add_column(f"{budget:,}", justify="right")
    for name in settings.strategies:
        equal.add_row(name, *(_shown(metrics[f"{name}.confirmed_asr_at_{budget}"], 2) for budget in settings.budgets))
    return [costs, equal] if settings.budgets else [costs]


def _ratio(ratios: dict[str, Any], name: str) -> str:
    """The ratio over the n seeds that reached the level in both, and what bounds it over all seeds."""
    bounds = [
        f"{words} {ratios[f'{name}_{side}']['value']:.3f} over all"
        for side, words in (("at_least", ">="), ("at_most", "<="))
        if f"{name}_{side}" in ratios
    ]
    return "\n".join([f"{_shown(ratios[name], 3)}, n {ratios[name]['n']}", *bounds])


def _shown(estimate: dict[str, Any], digits: int) -> str:
    if estimate["value"] is None:
        return "-"
    text = f"{estimate['value']:,.{digits}f}"
    if estimate["ci95"] is None:
        return text
    low, high = estimate["ci95"]
    return f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"
