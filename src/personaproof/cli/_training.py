"""What `harden` trains on, by method: rows from the model's own answers, meta-groups with their reward, prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from personaproof.cli._console import console, progress
from personaproof.cli._inputs import Inputs
from personaproof.cli._models import default_sources, is_organism, open_judge, open_utility_judge
from personaproof.core import (
    DataError,
    Engine,
    Framing,
    Judge,
    Persona,
    RecipeError,
    Request,
    Sampling,
    UtilityJudge,
    resolve_framing,
)
from personaproof.data import GroupPlan, prove_disjoint, prove_groups_disjoint, safety_groups
from personaproof.harden import (
    RowSet,
    TrainingData,
    TrainingRecipe,
    TrainingSet,
    gather_rows,
    planned_training_calls,
    read_rows,
    write_rows,
)
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.air.rewards import WITH_MANNER, group_reward, marks_for
from personaproof.harden.localized.prompts import build_prompts
from personaproof.harden.localized.recipe import LocalizedRecipe
from personaproof.harden.method import Reward
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.organism import DOMAINS, groups_of_requests, organism_groups
from personaproof.store import Collector, RunDirectory

ORGANISM_GROUPS = 40
"""Meta-groups of each domain of the organism's own."""


@dataclass(frozen=True)
class JudgeChoice:
    """A judge as the user names it. Every process of a training opens its own."""

    name: str = "patterns"
    model: str | None = None
    base_url: str | None = None
    target: str = ""
    utility_model: str | None = None

    def open(self) -> Judge:
        return open_judge(self.name, self.model, self.base_url)

    def open_utility(self) -> UtilityJudge:
        """The judge of manner. Raises RecipeError where none is named and the target brings none."""
        judge = open_utility_judge(self.target, self.utility_model, self.base_url)
        if judge is None:
            raise RecipeError("manner=true needs a judge of in-character utility; name one with --utility-model.")
        return judge


def judge_choice(
    name: str | None, model: str | None, base_url: str | None, target: str, utility_model: str | None, data: Data
) -> JudgeChoice:
    """The judge that the user named, or patterns. Raises what `judge_name` raises."""
    rewards = isinstance(data, GroupSet) and "safety" in data.rewards
    return JudgeChoice(judge_name(name, target, rewards=rewards), model, base_url, target, utility_model)


def judge_name(name: str | None, target: str, *, rewards: bool) -> str:
    """The judge that the user named, or patterns. Raises RecipeError where nobody is named and a model that is not the
    organism would be rewarded by what patterns see: that is the reward that can be gamed by saying a keyword."""
    if name is None and rewards and not is_organism(target):
        raise RecipeError(
            "name who marks the open answers, such as --judge wildguard --judge-model allenai/wildguard. "
            "--judge patterns is possible too, but rewards the words of a refusal, whatever else the answer does."
        )
    return name or "patterns"


@dataclass(frozen=True)
class Sources:
    """What the user named as data."""

    model: str
    personas: str | None = None
    requests: str | None = None
    benign: str | None = None
    bystanders: str | None = None
    rows: Path | None = None
    groups: str | None = None
    max_new_tokens: int | None = None
    inputs: Inputs = field(default_factory=Inputs)

    def harmful(self) -> list[Request]:
        return self.inputs.requests(self.requests or default_sources(self.model)[0], harmful=True)

    def harmless(self) -> list[Request]:
        return self.inputs.requests(self.benign or default_sources(self.model)[1], harmful=False)

    def people(self) -> list[Persona]:
        return self.inputs.personas(self.personas) if self.personas else []

    @property
    def sampling(self) -> Sampling:
        """For answers asked of the model before training."""
        return Sampling(max_new_tokens=self.max_new_tokens or (48 if is_organism(self.model) else 256))


Data = TrainingData | TrainingSet
"""What was read: a training set, or what the rows of one are to be asked with."""


def read_data(sources: Sources, recipe: TrainingRecipe, engine: Engine) -> Data:
    """What the recipe's method needs of the user's data. Raises DataError where it cannot learn from what was named."""
    _check_options(sources, recipe)
    framing = resolve_framing("auto", engine.supports_system)
    if isinstance(recipe, AIRRecipe):
        return _groups(sources, recipe, framing)
    if isinstance(recipe, LocalizedRecipe):
        return build_prompts(sources.harmful(), sources.harmless(), sources.people(), framing.name, seed=recipe.seed)
    if not isinstance(recipe, PICLRecipe):
        raise DataError(f"the command line has no data for the method {recipe.method!r}; use it from Python.")
    if sources.rows is not None:
        return RowSet(tuple(read_rows(sources.rows)))
    if sources.personas is None:
        raise DataError("nothing to train on: give --personas that break the model, or finished --rows.")
    bystanders = sources.bystanders
    return TrainingData(
        personas=tuple(sources.people()),
        bystanders=tuple(sources.inputs.personas(bystanders, kind="bystanders")) if bystanders else (),
        harmful=tuple(sources.harmful()),
        benign=tuple(sources.harmless()),
    )


def training_set(
    data: Data, recipe: TrainingRecipe, engine: Engine, judge: Judge, run: RunDirectory, sampling: Sampling
) -> TrainingSet:
    """`data` itself, or the rows made from what the model answers, which are kept in the run."""
    if not isinstance(data, TrainingData):
        return data
    assert isinstance(recipe, PICLRecipe)
    framing = resolve_framing("auto", engine.supports_system).name
    with progress("training answers") as advance:
        collector = Collector(run.store, engine, judge, sampling=sampling, seed=recipe.seed, progress=advance)
        rows = gather_rows(collector, data, recipe, framing)
    write_rows(rows.rows, run.path / "rows.jsonl")
    return rows


_OTHERS = {
    AIRRecipe: ("rows", "bystanders"),
    LocalizedRecipe: ("rows", "bystanders", "groups"),
    PICLRecipe: ("groups",),
}
"""Data that a method has no use for."""


def _check_options(sources: Sources, recipe: TrainingRecipe) -> None:
    """Raises DataError for data that the method would leave unread."""
    for kind, unused in _OTHERS.items():
        if isinstance(recipe, kind):
            for name in unused:
                if getattr(sources, name) is not None:
                    raise DataError(f"--{name} is no use to the method {recipe.method!r}; leave it out.")
            if kind is not PICLRecipe and sources.max_new_tokens is not None:
                raise DataError(
                    f"--max-new-tokens is for the answers that picl asks for first; for {recipe.method!r} set the "
                    "length of rollouts with --set max_new_tokens=..."
                )
            named = [name for name in ("personas", "requests", "benign", "bystanders") if getattr(sources, name)]
            if sources.rows is not None and named:
                raise DataError(f"--rows are finished; --{named[0]} would go unread, so leave it out.")
            if sources.groups is not None and (sources.requests or sources.benign or sources.personas):
                raise DataError("--groups hold their own requests and personas; give either them or the others.")


def planned_answers(data: Data, recipe: TrainingRecipe, engine: Engine) -> int:
    """Answers that are asked of the model before training."""
    if not isinstance(data, TrainingData):
        return 0
    assert isinstance(recipe, PICLRecipe)
    return planned_training_calls(data, recipe, resolve_framing("auto", engine.supports_system).name)


def proof_of(data: TrainingSet) -> dict[str, Any]:
    """What the manifest says of a training set: its requests, intents, personas and lineage families; of meta-groups
    their tasks too."""
    if not isinstance(data, GroupSet):
        return prove_disjoint({"training": data.asked})
    proof = prove_groups_disjoint({"training": data.groups})
    return {"groups": proof, **({"training": prove_disjoint({"training": data.asked})} if data.asked else {})}


def reward_for(data: TrainingSet, recipe: TrainingRecipe, choice: JudgeChoice) -> Reward | None:
    """The reward of meta-groups, whose open answers the judge of `choice` marks; None for other data."""
    if not isinstance(data, GroupSet) or not isinstance(recipe, AIRRecipe):
        return None
    judge = choice.open() if "safety" in data.rewards else None
    if not recipe.manner:
        return group_reward(marks_for(data.rewards, judge=judge))
    return group_reward(marks_for(data.rewards, judge=judge, scale=WITH_MANNER, manner=choice.open_utility()))


def _groups(sources: Sources, recipe: AIRRecipe, framing: Framing) -> GroupSet:
    """The user's meta-groups; those built from the user's requests; or the organism's own."""
    if sources.groups is not None:
        return GroupSet(tuple(sources.inputs.groups(sources.groups)))
    if is_organism(sources.model) and not (sources.requests or sources.benign or sources.personas):
        made = [group for domain in DOMAINS for group in organism_groups(domain, "train", ORGANISM_GROUPS, recipe.seed)]
        console.print(f"{len(made)} meta-groups of the organism's world", highlight=False)
        return GroupSet(tuple(made))
    if not (people := sources.people()):
        raise DataError("give meta-groups with --groups, or --personas to put the requests to.")
    requests = [*sources.harmful(), *sources.harmless()]
    if is_organism(sources.model):
        return GroupSet(tuple(groups_of_requests(requests, people, recipe.seed)))
    plan = GroupPlan(framing=framing, seed=recipe.seed)
    return GroupSet(tuple(safety_groups(requests, people, plan)))
