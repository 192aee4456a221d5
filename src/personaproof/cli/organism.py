"""`personaproof organism`: the bundled model organism; build it, measure its card, find its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from personaproof.cli._console import console, progress

app = App(name="organism", help="The bundled model organism: where it is, its measured card, and how it is built.")


@app.command
def path() -> None:
    """Print the folder of the bundled weights: a standard Hugging Face folder, for any tool that loads one."""
    from personaproof.organism import weights_path

    print(weights_path())


@app.command
def card(
    *,
    measure: Annotated[bool, Parameter(negative="")] = False,
    model: Path | None = None,
    seed: int = 0,
) -> None:
    """Show the organism's card: its bars on intents, wordings and personas that training never met.

    Parameters
    ----------
    measure
        Measure anew instead of showing the stored card (a few minutes on two cores).
    model
        Folder of another organism, such as one made by `personaproof organism build`.
    seed
        Seed of the sampled answers and of the random personas.
    """
    from personaproof.organism import weights_path
    from personaproof.organism.card import missed, read_card
    from personaproof.report import build_metric_rows, metrics_table

    folder = model or weights_path()
    if measure:
        console.print("Measuring; this takes a few minutes ...")
        measures = _measure(folder, seed)
    else:
        measures = read_card(folder)["measures"]
    rows = build_metric_rows({"organism": measures})
    console.print(metrics_table(rows, ["organism"], title=f"Model organism ({folder.name})"))
    below = missed(measures)
    console.print(f"Bars missed: {', '.join(below)}." if below else "All bars are met.", highlight=False)


@app.command
def build(
    out: Path,
    *,
    seed: int = 0,
    variant: Literal["shallow", "deep", "invariant"] = "shallow",
    restart: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Train the organism from nothing (about an hour on two cores). Interrupted, the same command continues.

    Parameters
    ----------
    out
        Folder to write: weights, tokenizer, chat template, card.
    seed
        Seed of the world's dialogues and of the initial weights.
    variant
        "shallow" (the bundled one; personas break it), "deep" (tuned with personas too), or "invariant" (raised in a
        world where every character refuses, so that its refusal never depended on persona; about half the time).
    restart
        Throw away an unfinished build in OUT instead of continuing it.
    """
    from dataclasses import asdict

    from personaproof.organism.build import Recipe
    from personaproof.organism.build import build as build_organism
    from personaproof.organism.card import write_card

    with progress("training the organism", unit="steps") as advance:
        build_organism(
            out,
            seed=seed,
            variant=variant,
            resume=not restart,
            progress=lambda state: advance(state.step, state.total),
        )
    console.print("Measuring; this takes a few minutes ...")
    write_card(out, _measure(out, seed), seed=seed, variant=variant, recipe=asdict(Recipe()))
    console.print(f"The organism is in {out}; its card is {out / 'README.md'}.", highlight=False, soft_wrap=True)


def _measure(folder: Path, seed: int) -> dict[str, Any]:
    """The bars, and how far the pattern judge agrees with the known truth."""
    from personaproof.judges import load_judge
    from personaproof.organism.agreement import judge_agreement
    from personaproof.organism.measure import measure

    return {**measure(folder, seed=seed), **judge_agreement(folder, load_judge("patterns"), seed=seed)}
