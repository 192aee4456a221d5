"""`personaproof harden`: train the persona dependence away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from personaproof.cli._console import console, progress


def harden(
    model: str,
    *,
    method: str = "picl",
    personas: str | None = None,
    requests: str | None = None,
    benign: str | None = None,
    bystanders: str | None = None,
    rows: Path | None = None,
    groups: str | None = None,
    out: Path = Path("runs/harden"),
    recipe: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    max_new_tokens: int | None = None,
    judge: str | None = None,
    judge_model: str | None = None,
    utility_model: str | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
) -> None:
    """Harden MODEL, and leave a PEFT adapter with a model card in OUT/adapter.

    picl: persona-invariant consistency learning on the model's own refusals, its benign answers in persona kept; the
    model is asked for both first. air, grpo, vrex: policy optimisation on meta-groups, with or without invariance to
    verifiable anchors. localized: on-policy distillation from the model steered towards refusal, on safety tokens.

    Interrupted, the same command continues. Then run `personaproof audit MODEL --adapter OUT/adapter` on personas and
    requests that were not used here.

    On several GPUs: `accelerate launch --multi_gpu --num_processes 4 -m personaproof harden MODEL ...`, or
    `--config_file` a file from `personaproof export launch`. One process asks for the answers, all of them train; a
    step has `batch_rows` rows however many they are, and the losses are the same but for what dropout drops.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id.
    method
        How it is trained: picl, air, grpo, vrex, localized.
    personas
        Personas that break the model, such as the elites.jsonl of `personaproof evolve`; any data source that `audit`
        takes, here and below. Needed for picl unless there
        are --rows.
    requests
        Harmful requests to train on: a file, `hf:OWNER/NAME`, or `pack:NAME`.
    benign
        Benign requests to train on, likewise.
    bystanders
        Further personas whose benign answers are to be preserved.
    rows
        JSONL of finished training rows for picl; then nothing is asked of the model.
    groups
        JSONL of meta-groups for air, grpo and vrex. Without it they are made from --requests, --benign and --personas,
        and for the organism from its world.
    out
        Run directory.
    recipe
        A built-in recipe (`picl`, `air`, `localized`: the published settings; `organism`, `air-organism`,
        `localized-organism`), or a YAML file. By default that of the method.
    set_
        Override of one setting, such as `--set variant=dpo`, `--set mode=full`; may be repeated.
    max_new_tokens
        Longest answer asked of the model before training, for picl; other methods have `--set max_new_tokens=...`.
    judge
        Who decides which answers are refusals, and marks open answers: patterns, wildguard, llama-guard-3,
        harmbench, strongreject. By default patterns, but for air, grpo and vrex on a model other than the organism:
        there it must be named, since a model learns to say the words that patterns look for.
    judge_model
        MODEL that answers for a judge that is a model.
    utility_model
        MODEL that says whether an answer keeps the persona's manner, for air, grpo and vrex with `--set manner=true`.
    base_url
        Address of the judge's OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    """
    from personaproof.cli._assistants import assist, call_assistants
    from personaproof.cli._models import is_organism, model_path, open_engine
    from personaproof.cli._training import (
        Sources,
        judge_choice,
        planned_answers,
        proof_of,
        read_data,
        reward_for,
        training_set,
    )
    from personaproof.core import ModelError, load_recipe
    from personaproof.harden import harden as train
    from personaproof.harden import methods, recipe_path
    from personaproof.harden.environment import check_environment
    from personaproof.report import run_report, write_report
    from personaproof.store import RunDirectory

    if assist():
        return
    if model.startswith("openai:"):
        raise ModelError("training needs the weights; give a local folder or a Hub id, not a served model.")
    settings_type = methods.get(method).recipe
    path = recipe_path(recipe or default_recipe(method, organism=is_organism(model)))
    settings = load_recipe(settings_type, path, (f"method={method}", *set_))
    check_environment(settings)
    sources = Sources(model, personas, requests, benign, bystanders, rows, groups, max_new_tokens)
    engine = open_engine(model, batch_size=batch_size)
    data = read_data(sources, settings, engine)
    choice = judge_choice(judge, judge_model, base_url, model, utility_model, data)
    verdicts = choice.open()
    name, fingerprint, judge_id = engine.name, engine.fingerprint, verdicts.id
    if answers := planned_answers(data, settings, engine):
        console.print(f"{answers:,} answers to generate, then training.", highlight=False)
    identity = {
        "model": fingerprint,
        "judge": judge_id,
        "recipe": settings.identity(),
        "sampling": sources.sampling.id,
        "rows": str(rows) if rows else None,
        "data": sources.inputs.settings,
    }
    with RunDirectory.open(out, command="harden", settings=identity, details={"model": name}) as run:
        learned = training_set(data, settings, engine, verdicts, run, sources.sampling)
        run.add_details(training=proof_of(learned))
        for kind, count in learned.counts.items():
            console.print(f"  {kind}: {count:,}", highlight=False)
        for reason, count in learned.left_out.items():
            console.print(f"  left out, {reason}: {count:,}", highlight=False)
        del engine, verdicts, data  # their memory is the training's now
        call_assistants(model_path(model), learned, settings, run.path, fingerprint, choice)
        with progress("training", unit="steps") as advance:
            result = train(
                model_path(model),
                learned,
                settings,
                run.path,
                fingerprint=fingerprint,
                progress=advance,
                reward=reward_for(learned, settings, choice),
            )
        run.write_summary(
            {
                "schema_version": 1,
                "command": "harden",
                "method": method,
                "model": {"name": name, "fingerprint": fingerprint},
                "judge": judge_id,
                "training": {
                    "steps": result.steps,
                    "rows": dict(result.rows),
                    "left_out": dict(result.left_out),
                    "curve": [dict(entry) for entry in result.curve],
                },
            }
        )
        write_report(run_report(run), run.report_path)
    console.print(f"Trained {result.steps} steps in {result.seconds:.0f} s. Saved in {result.path}", highlight=False)
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)


def default_recipe(method: str, *, organism: bool) -> str:
    """The built-in recipe of a method: the published settings, or those at the organism's size."""
    published = {"grpo": "air", "vrex": "air"}.get(method, method)
    if not organism:
        return published
    return "organism" if method == "picl" else f"{published}-organism"
