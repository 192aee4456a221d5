"""From what the user calls a model or a judge to the engine or judge itself."""

from __future__ import annotations

from pathlib import Path

from personaproof.core import Engine, Judge, UtilityJudge

ORGANISM = "organism"


def open_engine(
    model: str,
    *,
    adapter: Path | None = None,
    base_url: str | None = None,
    batch_size: int | None = None,
    trust_remote_code: bool = False,
    chat_template: str | None = None,
) -> Engine:
    """The engine behind a MODEL argument: `organism`, a local folder, a Hub id, or `openai:NAME`."""
    from personaproof.engines import BATCH_SIZE, load_engine

    return load_engine(
        str(model_path(model)),
        adapter=adapter,
        base_url=base_url,
        chat_template=chat_template,
        batch_size=BATCH_SIZE if batch_size is None else batch_size,
        trust_remote_code=trust_remote_code,
    )


def is_organism(model: str) -> bool:
    """Whether MODEL is the bundled organism, or a folder that `personaproof organism build` made: defaults are then
    those of its world."""
    if model == ORGANISM:
        return True
    from personaproof.organism.card import is_built_here

    return is_built_here(Path(model))


def address_for(model: str, base_url: str | None) -> str | None:
    """The server's address for a model beside the target: the target may be served and this one local."""
    return base_url if model.startswith("openai:") else None


def model_path(model: str) -> str | Path:
    """`organism` is the bundled folder; everything else is taken as it is."""
    if model == ORGANISM:
        from personaproof.organism import weights_path

        return weights_path()
    return model


def open_judge(name: str, judge_model: str | None = None, base_url: str | None = None) -> Judge:
    """A judge by name; `judge_model` is the MODEL that answers for judges that are models."""
    from personaproof.judges import CHAT_TEMPLATES, load_judge

    if judge_model is None:
        return load_judge(name)
    engine = open_engine(
        judge_model, base_url=address_for(judge_model, base_url), chat_template=CHAT_TEMPLATES.get(name)
    )
    return load_judge(name, engine)


def open_utility_judge(model: str, utility_model: str | None, base_url: str | None = None) -> UtilityJudge | None:
    """The judge of in-character utility: the organism's own parser for an organism, a rubric asked of `utility_model`
    where one is named, and none otherwise (the metric is then reported as not measured)."""
    if utility_model is not None:
        from personaproof.judges import RubricUtilityJudge

        return RubricUtilityJudge(open_engine(utility_model, base_url=address_for(utility_model, base_url)))
    if is_organism(model):
        from personaproof.organism import OrganismUtilityJudge

        return OrganismUtilityJudge()
    return None


def default_sources(model: str) -> tuple[str, str, str]:
    """Harmful requests, benign requests and personas used where the user names none: the organism's packs for an
    organism, whose world is small, and the general packs for every other model."""
    if is_organism(model):
        return "pack:organism_harmful", "pack:organism_benign", "pack:organism_personas"
    return "pack:harmful", "pack:benign", "pack:personas"
