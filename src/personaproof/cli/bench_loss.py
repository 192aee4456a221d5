"""`personaproof bench loss`: what the joint loss costs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.table import Table

from personaproof.cli._console import console


def loss(
    *,
    out: Path = Path("runs/bench-loss"),
    shape: Literal["small", "7b"] = "small",
    vocabularies: Annotated[tuple[int, ...], Parameter(negative="")] = (),
    width: int | None = None,
    rows: int = 4,
    tokens: int = 512,
    repeats: int = 5,
    device: str = "auto",
    dtype: Literal["auto", "float32", "bfloat16"] = "auto",
) -> None:
    """Time and peak memory of the joint loss, forward and backward from hidden states, against the same loss row by row
    on whole vocabularies and against DPO alone with the teacher's forward pass. Every measurement is made anew.

    Parameters
    ----------
    out
        Run directory.
    shape
        The output head: `small` (width 512, vocabularies 32,768 and 131,072) or `7b` (Qwen2.5-7B's).
    vocabularies
        Sizes of the vocabulary, instead of the shape's.
    width
        Width of the hidden states, instead of the shape's.
    rows
        Preference rows, each with a chosen and a rejected response.
    tokens
        Tokens of a response.
    repeats
        Measurements of each, side by side.
    device
        `cpu`, `cuda`, or `auto`.
    dtype
        Of hidden states and head; `auto` is bfloat16 where the hardware computes in it.
    """
    from personaproof.bench import LossBenchRecipe, run_loss_bench
    from personaproof.bench.loss import SHAPES
    from personaproof.core import load_recipe
    from personaproof.report import run_report, write_report
    from personaproof.store import RunDirectory

    values = {**SHAPES[shape], "rows": rows, "tokens": tokens, "repeats": repeats, "device": device, "dtype": dtype}
    if vocabularies:
        values["vocabularies"] = vocabularies
    if width is not None:
        values["width"] = width
    recipe = load_recipe(LossBenchRecipe, base=values)
    with RunDirectory.open(out, command="bench loss", settings={"recipe": recipe.model_dump(mode="json")}) as run:
        summary = run_loss_bench(recipe, lambda line: console.print(line, highlight=False)).summary()
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    console.print(_table(summary))
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)


def _table(summary: dict[str, Any]) -> Table:
    recipe, metrics, ratios = summary["recipe"], summary["metrics"], summary["ratios"]
    title = (
        f"{recipe['rows']} rows, {recipe['tokens']} tokens, width {recipe['width']}, {summary['dtype']} on "
        f"{summary['device']}, {recipe['repeats']} repeats"
    )
    table = Table(title=title, title_justify="left", header_style="bold")
    for heading in ("vocabulary", "loss", "seconds", "joint to it", "MiB", "joint to it"):
        table.add_column(heading, justify="left" if heading == "loss" else "right")
    for vocabulary in recipe["vocabularies"]:
        for form in ("joint", "dense", "dpo+teacher"):
            cells = []
            for what, digits in (("seconds", 3), ("megabytes", 1)):
                cells.append(_cell(metrics[f"{form}.{what}_{vocabulary}"], digits))
                ratio = ratios.get(f"joint_to_{form}.{what}_{vocabulary}")
                goal = summary["goals"].get(f"joint_to_{form}.{what}")
                cells.append("" if ratio is None else _cell(ratio, 3) + (f", at most {goal:g}" if goal else ""))
            table.add_row(f"{vocabulary:,}", form, *cells)
    return table


def _cell(estimate: dict[str, Any], digits: int) -> str:
    text = f"{estimate['value']:,.{digits}f}"
    if estimate["ci95"] is None:
        return text
    low, high = estimate["ci95"]
    return f"{text} ({low:,.{digits}f} to {high:,.{digits}f})"
