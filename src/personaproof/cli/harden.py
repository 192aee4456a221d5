"""`personaproof harden`: train the persona dependence away."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from personaproof.cli._console import console, progress


def harden(
    model: str,
    *,
    personas: str | None = None,
    requests: str | None = None,
    benign: str | None = None,
    bystanders: str | None = None,
    rows: Path | None = None,
    out: Path = Path("runs/harden"),
    recipe: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    max_new_tokens: int = 256,
    judge: str = "patterns",
    judge_model: str | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
) -> None:
    """Harden MODEL: persona-invariant consistency learning on its own refusals, its benign answers in persona kept.

    Asks the model what the training rows are made of, builds them from the verdicts, trains, and leaves a PEFT adapter
    with a model card in OUT/adapter. Interrupted, the same command continues. Then run
    `personaproof audit MODEL --adapter OUT/adapter` on personas and requests that were not used here.

    On several GPUs: `accelerate launch --multi_gpu --num_processes 4 -m personaproof harden MODEL ...`, or
    `--config_file` a file from `personaproof export launch`. One process asks for the answers, all of them train; a
    step has `batch_rows` rows however many they are, and the losses are the same.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id.
    personas
        Personas that break the model, such as the elites.jsonl of `personaproof evolve`; any data source that `audit`
        takes, here and below. Needed unless there are --rows.
    requests
        Harmful requests to train on: a file, `hf:OWNER/NAME`, or `pack:NAME`.
    benign
        Benign requests to train on, likewise.
    bystanders
        Further personas whose benign answers are to be preserved.
    rows
        JSONL of finished training rows; then nothing is asked of the model.
    out
        Run directory.
    recipe
        `picl` (the published settings with our preservation term), `organism`, or a YAML file.
    set_
        Override of one setting, such as `--set variant=dpo`, `--set mode=full`; may be repeated.
    max_new_tokens
        Longest answer asked of the model.
    judge
        Who decides which answers are refusals: patterns, wildguard, llama-guard-3, harmbench, strongreject.
    judge_model
        MODEL that answers for a judge that is a model.
    base_url
        Address of the judge's OpenAI-compatible server.
    batch_size
        Most answers generated at once.
    """
    from personaproof.cli._assistants import assist, call_assistants
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import ORGANISM, default_sources, model_path, open_engine, open_judge
    from personaproof.core import DataError, ModelError, Sampling, resolve_framing
    from personaproof.harden import (
        RowSet,
        TrainingData,
        check_disjoint,
        gather_rows,
        load_picl,
        planned_training_calls,
        read_rows,
        write_rows,
    )
    from personaproof.harden import harden as train
    from personaproof.harden.environment import check_environment
    from personaproof.report import run_report, write_report
    from personaproof.store import Collector, RunDirectory

    if assist():
        return
    if model.startswith("openai:"):
        raise ModelError("training needs the weights; give a local folder or a Hub id, not a served model.")
    settings = load_picl(recipe or (ORGANISM if model == ORGANISM else "picl"), *set_)
    check_environment(settings)
    inputs = Inputs()
    default_harmful, default_benign, _ = default_sources(model)
    data = None
    if rows is None:
        if personas is None:
            raise DataError("nothing to train on: give --personas that break the model, or finished --rows.")
        data = TrainingData(
            personas=tuple(inputs.personas(personas)),
            bystanders=tuple(inputs.personas(bystanders, kind="bystanders")) if bystanders else (),
            harmful=tuple(inputs.requests(requests or default_harmful, harmful=True)),
            benign=tuple(inputs.requests(benign or default_benign, harmful=False)),
        )
    engine = open_engine(model, batch_size=batch_size)
    verdicts = open_judge(judge, judge_model, base_url)
    name, fingerprint, judge_id = engine.name, engine.fingerprint, verdicts.id
    framing = resolve_framing("auto", engine.supports_system).name
    if data is not None:
        console.print(f"{planned_training_calls(data, framing):,} answers to generate, then training.", highlight=False)
    sampling = Sampling(max_new_tokens=48 if model == ORGANISM else max_new_tokens)
    identity = {
        "model": fingerprint,
        "judge": judge_id,
        "recipe": settings.model_dump(mode="json"),
        "sampling": sampling.id,
        "rows": str(rows) if rows else None,
        "data": inputs.settings,
    }
    with RunDirectory.open(out, command="harden", settings=identity, details={"model": name}) as run:
        if data is None:
            assert rows is not None
            row_set = RowSet(tuple(read_rows(rows)))
        else:
            with progress("training answers") as advance:
                collector = Collector(
                    run.store, engine, verdicts, sampling=sampling, seed=settings.seed, progress=advance
                )
                row_set = gather_rows(collector, data, settings, framing)
            del collector
            write_rows(row_set.rows, run.path / "rows.jsonl")
        run.add_details(training=check_disjoint(row_set.rows, {}))
        for kind, count in row_set.counts.items():
            console.print(f"  {kind}: {count:,} rows", highlight=False)
        for reason, count in row_set.left_out.items():
            console.print(f"  left out, {reason}: {count:,}", highlight=False)
        del engine, verdicts  # their memory is the training's now
        call_assistants(model_path(model), row_set, settings, run.path, fingerprint)
        with progress("training", unit="steps") as advance:
            result = train(model_path(model), row_set, settings, run.path, fingerprint=fingerprint, progress=advance)
        run.write_summary(
            {
                "schema_version": 1,
                "command": "harden",
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
