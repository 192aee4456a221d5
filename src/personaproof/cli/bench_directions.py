"""`personaproof bench directions`: what sharing and batching save when a panel's texts are read inside the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.table import Table

from personaproof.cli._console import console, progress


def directions(
    model: str = "organism",
    *,
    out: Path = Path("runs/bench-directions"),
    personas: int = 12,
    texts: int = 20,
    max_new_tokens: int = 48,
    repeats: int = 3,
    panel: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = 128,
) -> None:
    """Time of the surprise matrix and of activation extraction, for the texts of every persona under every persona,
    against one text and one persona at a time, encoded whole. Both are measured anew, side by side, and must agree.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id.
    out
        Run directory.
    personas
        Of the panel, the Assistant among them.
    texts
        Of each persona.
    max_new_tokens
        Most tokens of a text.
    repeats
        Measurements of each, side by side.
    panel
        Role pack: `panel`, `organism`, or a YAML file.
    dtype
        `auto` is bfloat16 where the hardware computes in it, else float32.
    device
        `cpu`, `cuda`, or `auto`.
    batch_size
        Most texts computed at once, our way.
    """
    from personaproof.bench import DirectionsBenchRecipe, run_directions_bench
    from personaproof.cli._models import ORGANISM, is_organism, model_path
    from personaproof.core import ModelError, load_recipe
    from personaproof.directions import load_roles
    from personaproof.engines import TransformersEngine
    from personaproof.report import run_report, write_report
    from personaproof.store import RunDirectory

    if model.startswith("openai:"):
        raise ModelError("a served model does not show its inside; give a local folder or a Hub id.")
    roles = panel or (ORGANISM if is_organism(model) else "panel")
    values = {
        "panel": roles,
        "personas": personas,
        "texts": texts,
        "max_new_tokens": max_new_tokens,
        "repeats": repeats,
    }
    recipe = load_recipe(DirectionsBenchRecipe, base=values)
    pack = load_roles(roles)
    engine = TransformersEngine.load(model_path(model), dtype=dtype, device=device, batch_size=batch_size)
    identity = {
        "model": engine.fingerprint,
        "recipe": recipe.model_dump(mode="json"),
        "batch_size": batch_size,
        "device": device,
    }
    with RunDirectory.open(out, command="bench directions", settings=identity, details={"model": engine.name}) as run:
        with progress("measure", "measurements") as advance:
            bench = run_directions_bench(
                recipe, engine, pack, lambda line: console.print(line, highlight=False), advance
            )
        summary = bench.summary()
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    console.print(_table(summary))
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)


def _table(summary: dict[str, Any]) -> Table:
    title = (
        f"{summary['texts']} texts under {summary['recipe']['personas']} personas, {summary['prompt_tokens']:.0f} + "
        f"{summary['response_tokens']:.0f} tokens, {summary['dtype']} on {summary['device']}, "
        f"{summary['threads']} thread(s), {summary['recipe']['repeats']} repeats"
    )
    table = Table(title=title, title_justify="left", header_style="bold")
    for heading in ("", "ours, s", "naive, s", f"times faster (goal {summary['goal']:g})", "largest difference"):
        table.add_column(heading, justify="left" if not heading else "right")
    for form, unit in (("surprise", "nats a text"), ("activations", "of their length")):
        table.add_row(
            form,
            *(_cell(summary["metrics"][f"{form}.{way}_seconds"]) for way in ("ours", "naive")),
            _cell(summary["ratios"][f"{form}.naive_to_ours"]),
            f"{summary['agreement'][form]:.2g} {unit}",
        )
    return table


def _cell(estimate: dict[str, Any]) -> str:
    text = f"{estimate['value']:.2f}"
    if estimate["ci95"] is None:
        return text
    low, high = estimate["ci95"]
    return f"{text} ({low:.2f} to {high:.2f})"
