"""`personaproof bench air`: GRPO, V-REx and Anchor Invariance Regularization, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.table import Table

from personaproof.cli._console import console


def air(
    model: str = "organism",
    *,
    seeds: int = 3,
    first_seed: int = 0,
    out: Path = Path("runs/bench-air"),
    groups: str | None = None,
    held_out: str | None = None,
    recipe: str = "air",
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    judge: str | None = None,
    judge_model: str | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
) -> None:
    """What anchor invariance adds to GRPO: right answers by prompt and by whole meta-group, in and out of distribution,
    and what a reward that can be gamed does to the true decisions. Interrupted, the same command continues.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id.
    seeds
        Repetitions, each with its own groups and training.
    first_seed
        The first of them: settings can so be tuned on other seeds than those reported.
    out
        Run directory.
    groups
        JSONL of meta-groups to train and, on other tasks, to measure on; the organism has its own.
    held_out
        JSONL of meta-groups in other wordings and personas.
    recipe
        `air`, or a YAML file.
    set_
        Override of one setting, such as `--set training.max_steps=100`; may be repeated.
    judge
        Who decides on open answers. By default patterns for the organism; for another model it must be named, since a
        model learns to say the words that patterns look for.
    judge_model
        MODEL that answers for a judge that is a model.
    base_url
        Address of the judge's OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    """
    from personaproof.bench import AIRArm, AIRBench, AIRBenchRecipe, AIRSeed, bench_recipe
    from personaproof.bench.air import planned_answers
    from personaproof.cli._groups import bench_groups, bench_proof
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import model_path, open_engine, open_judge
    from personaproof.cli._narrator import ConsoleNarrator
    from personaproof.cli._training import judge_name
    from personaproof.core import DataError, ModelError, RecipeError, load_recipe
    from personaproof.harden import OneModel
    from personaproof.harden.air.groups import GroupSet
    from personaproof.report import run_report, write_report
    from personaproof.store import RunDirectory

    if model.startswith("openai:"):
        raise ModelError("training needs the weights; give a local folder or a Hub id, not a served model.")
    if seeds < 1:
        raise RecipeError(f"--seeds must be at least 1, not {seeds}.")
    settings = load_recipe(AIRBenchRecipe, bench_recipe(recipe), set_)
    chosen = tuple(range(first_seed, first_seed + seeds))
    if (groups is None) != (held_out is None):
        raise DataError("give both --groups and --held-out, or neither for the organism's own.")
    inputs = Inputs()
    known = inputs.groups(groups) if groups else []
    other = inputs.groups(held_out, kind="held_out") if held_out else []
    data = {seed: bench_groups(model, known, other, settings, seed) for seed in chosen}
    proofs = {seed: bench_proof(parts) for seed, parts in data.items()}
    models = OneModel(
        str(model_path(model)), lambda adapter: open_engine(model, adapter=adapter, batch_size=batch_size)
    )
    rewards = any("safety" in GroupSet(parts.training).rewards for parts in data.values())
    verdicts = open_judge(judge_name(judge, model, rewards=rewards), judge_model, base_url)
    identity: dict[str, Any] = {
        "model": models.fingerprint,
        "judge": verdicts.id,
        "recipe": settings.identity(),
        "data": inputs.settings,
    }
    answers = seeds * planned_answers(settings, data[chosen[0]])
    console.print(f"At most {answers:,} answers to generate, most of them in training.", highlight=False)
    arms: dict[str, list[AIRArm]] = {}
    hacking: dict[str, list[Any]] = {}
    steps = 1 + len(settings.arms) + len(settings.hacking.arms if settings.hacking else ())
    with RunDirectory.open(
        out, command="bench air", settings={**identity, "seeds": list(chosen)}, details={"model": models.name}
    ) as run:
        for seed in chosen:
            details = {"model": models.name, "splits": proofs[seed]}
            with RunDirectory.open(
                out / f"seed-{seed}", command="bench air", settings={**identity, "seed": seed}, details=details
            ) as own:
                one = AIRSeed(
                    own.path,
                    settings,
                    data[seed],
                    seed,
                    models=models,
                    judge=verdicts,
                    narrator=ConsoleNarrator(steps),
                )
                for name, arm in one.run().items():
                    arms.setdefault(name, []).append(arm)
                for name, points in one.hack().items():
                    hacking.setdefault(name, []).append(points)
        summary = AIRBench(settings, chosen, arms, hacking).summary()
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    for split, title in (("in", "In distribution"), ("out", "Out of distribution")):
        console.print(_table(summary, split, f"{title}: Acc / Acc_group, mean over {summary['seeds']} seeds"))
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)


def _table(summary: dict[str, Any], split: str, title: str) -> Table:
    table = Table("Arm", *summary["domains"], "mean", title=title, title_justify="left")
    for name in summary["arms"]:
        cells = []
        for domain in (*summary["domains"], "mean"):
            rates = [summary["metrics"][f"{name}.{split}.{domain}.{rate}"]["value"] for rate in ("acc", "acc_group")]
            cells.append(" / ".join("-" if rate is None else f"{rate:.3f}" for rate in rates))
        table.add_row(name, *cells)
    return table
