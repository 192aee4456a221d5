"""`personaproof gate`: does a compliant persona, as a direction inside the model, decide whether it refuses?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from personaproof.cli._console import console, progress


def gate(
    model: str,
    *,
    adapter: Path | None = None,
    requests: str | None = None,
    benign: str | None = None,
    out: Path = Path("runs/gate"),
    persona_direction: Path | None = None,
    against: Path | None = None,
    judge: str = "patterns",
    judge_model: str | None = None,
    trait_model: str | None = None,
    manner_model: str | None = None,
    base_url: str | None = None,
    recipe: str | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    batch_size: int | None = None,
    trust_remote_code: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """The gating study of MODEL: a compliant-persona direction is added, knocked out and answered by the refusal
    direction, each against random directions of its length. Ends in a verdict: gates, no gating, or cannot tell.

    Leaves manifest.json, summary.json, report.html and the persona direction (persona-direction.safetensors with its
    .json) in OUT, and the directions of every layer in OUT/gate. Interrupted, the same command continues.

    Parameters
    ----------
    model
        `organism`, a local folder or a Hub id; its weights must be on this machine.
    adapter
        PEFT adapter to study the model with, such as the one `personaproof harden` leaves.
    requests
        Harmful requests: a JSONL, CSV or JSON file, `hf:OWNER/NAME[:SPLIT]`, or `pack:NAME`.
    benign
        Benign requests, likewise.
    out
        Run directory.
    persona_direction
        A persona direction made earlier, instead of reading one from MODEL.
    against
        Run directory of an earlier study to compare with, such as that of the model before hardening: its persona
        direction, place and dose are taken, and what changed is reported with paired intervals.
    judge
        Who decides what was refused: patterns, wildguard, llama-guard-3, harmbench, strongreject.
    judge_model
        MODEL that answers for a judge that is a model.
    trait_model
        Chat MODEL that rates how compliant an answer is, for a trait pack of harmless questions (the default pack).
    manner_model
        Chat MODEL that says whether a role's answer is in its manner (the organism brings its own rater); without one
        all answers count for the Assistant axis.
    base_url
        Address of the judges' OpenAI-compatible server.
    recipe
        `gate`, `organism`, or a YAML file; by default the one that fits MODEL.
    set_
        Override of one setting, such as `--set requests=100`; may be repeated.
    batch_size
        Most answers generated at once.
    trust_remote_code
        Run code that a Hub repository brings. Off unless you ask for it.
    """
    from personaproof.cli._inputs import Inputs
    from personaproof.cli._models import (
        ORGANISM,
        address_for,
        default_sources,
        is_organism,
        open_engine,
        open_judge,
        open_utility_judge,
    )
    from personaproof.core import ModelError, RecipeError, load_recipe, resolve_framing
    from personaproof.directions import (
        ComplianceTraitJudge,
        RubricTraitJudge,
        check_fits,
        load_direction,
        load_roles,
        load_trait,
        save_direction,
    )
    from personaproof.directions.gating import (
        FOLDER,
        PERSONA_DIRECTION,
        SCHEMA,
        EarlierStudy,
        GateRecipe,
        Kept,
        Material,
        compare,
        gate_recipe,
        gate_summary,
        make_material,
        needs_rater,
        plan_questions,
        planned_answers,
        run_study,
    )
    from personaproof.directions.structure import anatomy
    from personaproof.engines import TransformersEngine
    from personaproof.report import run_report, write_report
    from personaproof.store import FinishedRun, RunDirectory

    if model.startswith("openai:"):
        raise ModelError("the study works inside the model, so it needs the weights; give a local folder or a Hub id.")
    settings = load_recipe(GateRecipe, gate_recipe(recipe or (ORGANISM if is_organism(model) else "gate")), set_)
    trait, roles = load_trait(settings.trait), load_roles(settings.roles)
    if persona_direction is not None and against is not None:
        raise RecipeError("--against brings the persona direction of the earlier study; leave --persona-direction out.")
    packs = {"trait": trait.model_dump(mode="json"), "roles": roles.model_dump(mode="json")}
    asked = {"study": SCHEMA, "recipe": settings.model_dump(mode="json"), "packs": packs}
    earlier, finished = None, None
    if against is not None:
        finished = FinishedRun.read(against, "gate")
        finished.check(asked)
        earlier = EarlierStudy.read(against, finished.summary)
    given = None if persona_direction is None else load_direction(persona_direction)
    if earlier is not None:
        given = earlier.direction
    if given is None and trait_model is None and not trait.harmful:
        # Before any weights are loaded, and before a manifest without a rater could stand in OUT.
        raise needs_rater(trait)
    inputs = Inputs()
    default_harmful, default_benign, _ = default_sources(model)
    harmful = inputs.requests(requests or default_harmful, harmful=True)
    harmless = inputs.requests(benign or default_benign, harmful=False)
    engine = open_engine(model, adapter=adapter, batch_size=batch_size, trust_remote_code=trust_remote_code)
    assert isinstance(engine, TransformersEngine)
    verdicts = open_judge(judge, judge_model, base_url)
    manner = open_utility_judge(model, manner_model, base_url)
    if finished is not None:
        finished.check({"judge": verdicts.id})
    if given is not None:
        trait_judge: ComplianceTraitJudge | RubricTraitJudge | None = None
    elif trait.harmful:
        trait_judge = ComplianceTraitJudge(verdicts)
    elif trait_model is not None:
        trait_judge = RubricTraitJudge(open_engine(trait_model, base_url=address_for(trait_model, base_url)))
    else:
        trait_judge = None
    if given is not None:
        check_fits(given, engine, same_weights=False)
    framing = resolve_framing(settings.framing, engine.supports_system)
    plan = plan_questions(settings, harmful, harmless, trait, roles, framing)
    before = None if earlier is None else earlier.result(settings, plan, anatomy(engine).depth)
    at = None if earlier is None else earlier.at
    identity = {
        **asked,
        "model": engine.fingerprint,
        "judge": verdicts.id,
        "trait_judge": trait_judge.id if trait_judge else None,
        "manner_judge": manner.id if manner else None,
        "persona_direction": None if given is None else given.id,
        "data": inputs.settings,
        "against": None
        if earlier is None or finished is None
        else {"run": finished.manifest.run_id, "dose": earlier.place.dose},
    }
    details = {"model": engine.name, "adapter": str(adapter) if adapter else None}
    with RunDirectory.open(out, command="gate", settings=identity, details=details) as run:
        kept = Kept(run.path / FOLDER)
        found = kept.read_tensors("directions")
        if found is None:
            rollouts = (0 if given else len(trait.questions) * len([*trait.positive, *trait.negative])) + len(
                roles.questions
            ) * len([*roles.default, *(text for texts in roles.roles.values() for text in texts)])
            rollouts += 3 * (len(plan.refusal_harmful) + len(plan.refusal_benign))
            console.print(f"Reading directions from about {rollouts:,} answers.", highlight=False)
            material = make_material(
                engine,
                trait,
                roles,
                framing,
                judge=verdicts,
                trait_judge=trait_judge,
                manner_judge=manner,
                harmful=plan.refusal_harmful,
                benign=plan.refusal_benign,
                sampling=settings.rollout.build(),
                seed=settings.seed,
                least_unit=settings.least_unit,
                most_unjudged=settings.most_unjudged,
                given=given,
                say=lambda text: console.print(f"  {text}", highlight=False, markup=False),
            )
            kept.write_tensors("directions", material.tensors(), material.about)
            # As a continued run has them: sums over tensors laid out in another way can differ in the last bit.
            found = kept.read_tensors("directions")
            assert found is not None
        material = Material.of(*found)
        depth = anatomy(engine).depth
        console.print(
            f"At most {planned_answers(settings, plan, material, depth, at):,} answers under interventions, on "
            f"{len(plan.search)} search and {len(plan.push)} other questions.",
            highlight=False,
        )
        with progress("gate", "answers") as advance:
            result = run_study(engine, verdicts, settings, plan, material, kept, advance, at)
        save_direction(material.direction(result.place.position, result.place.layer), run.path / PERSONA_DIRECTION)
        summary = gate_summary(result, engine, verdicts)
        if before is not None:
            summary["against"] = {**compare(before, result).as_json(), "with": str(against)}
        run.write_summary(summary)
        write_report(run_report(run), run.report_path)
    console.print(f"\n[bold]{summary['verdict']['sentence']}[/]", highlight=False)
    for reason in summary["verdict"]["reasons"]:
        console.print(f"  - {reason}", highlight=False, markup=False)
    if "against" in summary:
        console.print(f"\n[bold]{summary['against']['sentence']}[/]", highlight=False)
        for reason in summary["against"]["reasons"]:
            console.print(f"  - {reason}", highlight=False, markup=False)
    console.print(f"Report: {run.report_path}", highlight=False, soft_wrap=True)
    console.print(f"Summary: {run.summary_path}", highlight=False, soft_wrap=True)
