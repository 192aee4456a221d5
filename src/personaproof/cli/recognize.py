"""`personaproof recognize`: who does the model think wrote this?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from personaproof.cli._console import console, progress


def recognize(
    model: str,
    *,
    adapter: Path | None = None,
    out: Path = Path("runs/recognize"),
    recipe: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    against: Path | None = None,
    batch_size: int | None = None,
    store: str | None = None,
    trust_remote_code: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Study self-recognition across personas in MODEL: every persona of a panel writes texts, every persona is asked
    which of them it wrote, and what predicts its claims is compared: is the Assistant the privileged reference?

    Leaves manifest.json, run.sqlite, measured/, summary.json and report.html in OUT. Interrupted, the same command
    continues.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id; served models do not show what this reads.
    adapter
        PEFT adapter to study the model with, such as the one `personaproof harden` leaves.
    out
        Run directory.
    recipe
        `standard` (the default), `organism`, or a YAML file (panel, samples, sampling, claim, bands, bootstrap).
    set_
        Override of one setting, such as `--set max_roles=11` or `--set panel=my-roles.yaml`; may be repeated.
    against
        Run directory of an earlier study to compare with, such as that of the model before hardening. It must have
        asked the same of the same personas.
    batch_size
        Most texts computed at once.
    store
        Database URL for the texts (PostgreSQL) instead of a file in OUT.
    trust_remote_code
        Run code that a Hub repository brings. Off unless you ask for it.
    """
    from personaproof.cli._models import ORGANISM, is_organism, open_engine
    from personaproof.core import ModelError, content_id, load_recipe
    from personaproof.directions import load_roles
    from personaproof.engines import TransformersEngine
    from personaproof.recognition import (
        RecognizeRecipe,
        build_panel,
        compare_studies,
        read_conditions,
        recipe_path,
        run_study,
        shared_personas,
        sharing,
        study_conditions,
        study_layer,
        study_summary,
    )
    from personaproof.report import run_report, write_report
    from personaproof.store import RunDirectory

    unreadable = "self-recognition is read from the model's own probabilities; give a local folder or a Hub id."
    if model.startswith("openai:"):
        raise ModelError(unreadable)
    settings = load_recipe(
        RecognizeRecipe, recipe_path(recipe or (ORGANISM if is_organism(model) else "standard")), set_
    )
    pack = load_roles(settings.panel)
    earlier = _read_earlier(against)
    engine = open_engine(model, adapter=adapter, batch_size=batch_size, trust_remote_code=trust_remote_code)
    if not isinstance(engine, TransformersEngine):
        raise ModelError(unreadable)
    panel = build_panel(settings, pack, supports_system=engine.supports_system)
    if earlier is not None:
        # Before hours of work that could not be compared.
        conditions = study_conditions(settings, panel, study_layer(settings, engine))
        shared_personas(read_conditions(earlier, str(against)), conditions, (str(against), "this study"))
    writers = len(panel.members)
    texts = writers * len(panel.questions) * settings.samples
    console.print(
        f"{texts:,} texts to write: {writers} personas x {len(panel.questions)} questions x {settings.samples}. "
        f"Each is then scored under each persona, as its own answer and in two questions about its author: "
        f"{writers * texts:,} surprises and {2 * writers * texts:,} claims, {sharing(engine)}.",
        highlight=False,
    )
    identity = {
        "model": engine.fingerprint,
        "recipe": settings.model_dump(mode="json"),
        "panel": content_id("panel", pack.model_dump(mode="json")),
    }
    details = {"model": engine.name, "adapter": str(adapter) if adapter else None}
    with RunDirectory.open(out, command="recognize", settings=identity, details=details, store_url=store) as run:
        study = run_study(run, settings, engine, panel, progress)
        summary: dict[str, Any] = {
            **study_summary(study, settings),
            "model": {"name": engine.name, "fingerprint": engine.fingerprint},
        }
        if against is not None and earlier is not None:
            compared = compare_studies(earlier, summary, settings, (str(against), str(out)))
            summary["comparison"] = {**compared.as_json(), "with": str(against)}
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    console.print(summary["verdict"]["sentence"], style="bold", highlight=False)
    for point in (*summary["verdict"]["points"], *summary.get("comparison", {}).get("sentences", ())):
        console.print(f"- {point}", highlight=False)
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)


def _read_earlier(against: Path | None) -> dict[str, Any] | None:
    """The earlier study's summary, read before any work is done."""
    from personaproof.recognition import read_conditions, read_matrices
    from personaproof.store import FinishedRun

    if against is None:
        return None
    summary = dict(FinishedRun.read(against, "recognize").summary)
    read_matrices(summary, str(against))
    read_conditions(summary, str(against))
    return summary
