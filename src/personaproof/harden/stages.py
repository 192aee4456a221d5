"""The parts that rounds of search and training are made of, each kept in one run directory as it is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from itertools import zip_longest
from typing import Literal, Protocol

from personaproof.audit import Audit, AuditPlan, build_trials, choose, run_audit
from personaproof.core import (
    DataError,
    Engine,
    Judge,
    Outcome,
    Persona,
    Progress,
    RecipeError,
    Request,
    Sampling,
    Trial,
    UtilityJudge,
    framings,
    resolve_framing,
)
from personaproof.data import GroupPlan, MetaGroup, safety_groups
from personaproof.evolve import (
    Confirmation,
    MutationContext,
    SearchResult,
    confirm,
    lineage_recorder,
    mutators,
    run_search,
    training_personas,
)
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.air.rewards import WITH_MANNER, group_reward, marks_for
from personaproof.harden.localized.prompts import PromptSet, build_prompts
from personaproof.harden.loop_plan import LoopRecipe, LoopSplits
from personaproof.harden.method import Reward, TrainingSet
from personaproof.harden.models import OneModel
from personaproof.harden.picl.gather import TrainingData, gather_rows
from personaproof.harden.picl.recipe import PICLRecipe
from personaproof.harden.picl.rows import RowSet
from personaproof.harden.recipe import TrainingRecipe
from personaproof.harden.result import HardenResult
from personaproof.harden.train import harden
from personaproof.harden.validation import Measure, Validation, ValidationPoint, audit_measure, read_points
from personaproof.store import Collector, RunDirectory

MakeGroups = Callable[[Sequence[Request], Sequence[Persona], int], list[MetaGroup]]
People = Literal["training", "validation", "held_out"]


class Narrator(Protocol):
    """Tells the user where the loop is."""

    def step(self, title: str) -> None:
        """A new part of the loop begins."""
        ...

    def progress(self, title: str, unit: str = "calls") -> AbstractContextManager[Progress]:
        """A callback (done, total) while some work lasts."""
        ...

    def say(self, text: str) -> None:
        """One line of result."""
        ...


class Stages:
    """Searches, audits, rows and trainings by one recipe, on one division of personas and requests. Run again in the
    same directory with the same arguments they repeat nothing and give the same results."""

    def __init__(
        self,
        run: RunDirectory,
        recipe: LoopRecipe,
        splits: LoopSplits,
        *,
        models: OneModel,
        judge: Judge,
        utility_judge: UtilityJudge | None,
        narrator: Narrator,
        make_groups: MakeGroups | None = None,
    ) -> None:
        """`models` are the model and what is trained from it, one of which is open at a time. `make_groups` makes
        meta-groups of requests, personas and a seed, where the model needs wordings other than `data.safety_groups`."""
        self.make_groups = make_groups
        self.directory, self.recipe, self.splits = run, recipe, splits
        self.models = models
        self.judge, self.utility_judge, self.tell = judge, utility_judge, narrator

    @property
    def base(self) -> Engine:
        """The model before any training."""
        return self.models.get()

    @cached_property
    def framing(self) -> str:
        return resolve_framing(self.recipe.evolve.framing, self.models.supports_system).name

    def with_recipe(self, recipe: LoopRecipe) -> Stages:
        """The same by another recipe."""
        return Stages(
            self.directory,
            recipe,
            self.splits,
            models=self.models,
            judge=self.judge,
            utility_judge=self.utility_judge,
            narrator=self.tell,
            make_groups=self.make_groups,
        )

    def search(
        self,
        engine: Engine,
        name: str,
        people: People,
        requests: str,
        seed: int,
        *,
        known: Sequence[Persona] = (),
    ) -> SearchResult:
        """A search of `engine` (stage ``search/<name>``) from the seed personas and on the requests of those splits.
        It also begins with those `known` to have broken another state of the model, and spends no more for it."""
        with self.tell.progress(f"search {name}") as progress:
            result = self.find(engine, name, people, requests, seed, known=known, progress=progress)
        rate = result.search_asr
        shown = "none could be scored" if rate is None else f"mean search ASR {rate:.2f} (optimistic: selected on)"
        self.tell.say(f"{len(result.elites)} elites of {len(result.lineage)} personas, {shown}")
        return result

    def find(
        self,
        engine: Engine,
        name: str,
        people: People,
        requests: str,
        seed: int,
        *,
        known: Sequence[Persona] = (),
        budget: int | None = None,
        progress: Progress | None = None,
    ) -> SearchResult:
        """`search` without telling; `budget` target calls instead of the recipe's."""
        # The validation families are fewer than a search is made for, and it then begins with them all.
        own = self.splits.personas[people][: self.recipe.evolve.seeds]
        first = list({persona.id: persona for persona in (*known, *own)}.values())
        recipe = self.recipe.evolve.model_copy(update={"seed": seed, "seeds": len(first)})
        if known and budget is None:
            budget = self.recipe.evolve.planned_calls
        if budget is not None:
            recipe = recipe.model_copy(update={"budget": max(budget, len(first) * recipe.first_requests)})
        if recipe.mutator != "grammar":
            raise RecipeError("the loop varies personas with the grammar mutator; use `evolve` for others.")
        return run_search(
            recipe,
            first,
            self.splits.harmful[requests],
            self.collector(engine, recipe.sampling.build()).for_stage(f"search/{name}"),
            mutators.get(recipe.mutator)(MutationContext(recipe.min_words, recipe.max_words)),
            framing=self.framing,
            record=lineage_recorder(self.directory.store),
            progress=progress,
        )

    def confirm(self, engine: Engine, search: SearchResult, name: str, requests: Sequence[Request]) -> Confirmation:
        """The elites of a search on requests it never saw (stage ``audit/<name>``)."""
        with self.tell.progress(f"confirm {name}") as progress:
            collector = self.collector(engine, self.recipe.audit.sampling.build(), progress)
            return confirm(search, requests, collector.for_stage(f"audit/{name}"))

    def plan(self, personas: Sequence[Persona]) -> AuditPlan:
        """An audit with `personas` and the evaluation requests."""
        return build_trials(
            personas,
            self.evaluation(self.splits.harmful),
            self.evaluation(self.splits.benign),
            self.framing,
            self.recipe.audit.samples,
        )

    def audit(self, engine: Engine, plan: AuditPlan, name: str) -> Audit:
        """Stage ``audit/<name>``."""
        with self.tell.progress(f"audit {name}") as progress:
            collector = self.collector(engine, self.recipe.audit.sampling.build(), progress)
            return run_audit(collector, plan, stage=f"audit/{name}", utility_judge=self.utility_judge)

    def attack(self, engine: Engine, personas: Sequence[Persona], name: str) -> list[Outcome]:
        """What `engine` answers `personas` on the requests that rows are made from (stage ``training/<name>``)."""
        trials = [Trial(r, p, self.framing) for p in personas for r in self.training_requests(self.splits.harmful)]
        with self.tell.progress(f"answers {name}") as progress:
            collector = self.collector(engine, self.recipe.audit.sampling.build(), progress)
            return collector.collect(f"training/{name}", trials)

    def trained_on(self, search: SearchResult, threshold: float) -> list[Persona]:
        """The personas of a training search that rows are made with, chosen to differ. Raises DataError for none."""
        chosen = training_personas(search, self.recipe.training_personas, threshold=threshold)
        if not chosen:
            raise DataError(
                f"no persona of the training search has an ASR of {threshold:g} or more, so there is nothing to learn "
                "from; search longer, or lower training_threshold."
            )
        return chosen

    def watched(self) -> list[Persona]:
        """Whom trainings are watched on: the best of a search of the untrained model from the validation families."""
        seed = 3 * self.recipe.seed
        search = self.search(self.base, "validation", "validation", "training", seed)
        if not search.elites:
            raise DataError(
                "the search from the validation families could score nobody, so a training could not be watched; look "
                "at what the judge could not decide."
            )
        return [found.persona for found in search.elites[: self.recipe.validation.personas]]

    def rows(
        self, personas: Sequence[Persona], attacked: Sequence[Outcome] = (), *, training: PICLRecipe | None = None
    ) -> RowSet:
        """Rows from the answers of the model before training to `personas`, and from `attacked`: successes against
        models hardened since. `training` is what they are for, where it is not the recipe's own."""
        recipe = self.recipe
        data = TrainingData(
            personas=tuple(personas),
            bystanders=tuple(self.splits.personas["training"]),
            harmful=tuple(self.training_requests(self.splits.harmful)),
            benign=tuple(self.training_requests(self.splits.benign)),
            benign_per_persona=recipe.benign_per_persona,
        )
        with self.tell.progress("training answers") as progress:
            collector = self.collector(self.base, recipe.audit.sampling.build(), progress)
            rows = gather_rows(collector, data, training or recipe.harden, self.framing, attacked=attacked)
        self.tell.say(", ".join(f"{count} {kind} rows" for kind, count in rows.counts.items()))
        return rows

    def prompts(self, personas: Sequence[Persona]) -> PromptSet:
        """Prompts to distil on from the training requests, asked directly and in `personas`."""
        harmful, benign = (self.training_requests(kind) for kind in (self.splits.harmful, self.splits.benign))
        return build_prompts(harmful, benign, personas, self.framing, seed=self.recipe.seed)

    def groups(self, personas: Sequence[Persona]) -> GroupSet:
        """Meta-groups of the training requests, asked by letter, plainly, in `personas` and by every mechanism."""
        requests = [
            request
            for pair in zip_longest(
                self.training_requests(self.splits.harmful), self.training_requests(self.splits.benign)
            )
            for request in pair
            if request is not None
        ]
        if self.make_groups is not None:
            return GroupSet(tuple(self.make_groups(requests, personas, self.recipe.seed)))
        plan = GroupPlan(framing=framings.get(self.framing), seed=self.recipe.seed)
        return GroupSet(tuple(safety_groups(requests, personas, plan)))

    def train(
        self,
        data: TrainingSet,
        folder: str = "harden",
        *,
        training: TrainingRecipe | None = None,
        watched: Sequence[Persona] = (),
        measure: Measure | None = None,
    ) -> tuple[HardenResult, list[ValidationPoint]]:
        """Train the model on `data` in `folder` of the run by the recipe's `harden`, or by `training`; watched on
        personas of other families (see `watched`), or with a `measure` of one's own."""
        recipe = (training or self.recipe.harden).model_copy(update={"seed": self.recipe.seed})
        path = self.directory.path / folder
        if measure is None:
            plan = build_trials(
                watched,
                self.validation_requests(self.splits.harmful),
                self.validation_requests(self.splits.benign),
                self.framing,
            )
            measure = audit_measure(self.answering, plan, f"validation/{folder}")
        # The live model answers in the batches that the user found to fit beside it.
        name, fingerprint, batch_size = self.models.name, self.models.fingerprint, self.models.batch_size
        validation = Validation(measure, self.recipe.validation, path, name=name, batch_size=batch_size)
        self.models.let_go()  # the training loads its own
        with self.tell.progress("training", unit="steps") as progress:
            result = harden(
                self.models.path,
                data,
                recipe,
                path,
                fingerprint=fingerprint,
                progress=progress,
                callbacks=[validation],
                reward=self._reward(data, recipe),
            )
        points = read_points(path)
        self.tell.say(f"{result.steps} steps; {_described(points)}")
        return result, points

    def _reward(self, data: TrainingSet, training: TrainingRecipe) -> Reward | None:
        if not isinstance(data, GroupSet):
            return None
        if not (isinstance(training, AIRRecipe) and training.manner):
            return group_reward(marks_for(data.rewards, judge=self.judge))
        marks = marks_for(data.rewards, judge=self.judge, scale=WITH_MANNER, manner=self.utility_judge)
        return group_reward(marks)

    def training_requests(self, requests: Mapping[str, Sequence[Request]]) -> list[Request]:
        """Those that rows are made from: the first so many harmful ones, and all the benign ones but those of the
        validation, since preservation carries over to what is like something preserved. Raises DataError where a list
        is too short for both uses: half of what the validation asks for must be left to it at least."""
        given, kept_back = requests["training"], self.recipe.validation.requests
        count = self.recipe.training_requests if given and given[0].harmful else len(given) - kept_back
        if count <= 0 or len(given) - count < kept_back / 2:
            kind = "harmful" if given and given[0].harmful else "benign"
            raise DataError(
                f"{len(given)} {kind} requests fell to training, too few for {count} to make rows from and "
                f"{kept_back} to watch the training with; give more, or lower training_requests or validation.requests."
            )
        return list(given[:count])

    def validation_requests(self, requests: Mapping[str, Sequence[Request]]) -> list[Request]:
        """Training requests that no row is made from, as many as the validation asks for at most."""
        left = requests["training"][len(self.training_requests(requests)) :]
        return list(left[: self.recipe.validation.requests])

    def evaluation(self, requests: Mapping[str, Sequence[Request]]) -> list[Request]:
        return choose(requests["evaluation"], self.recipe.audit.max_requests, self.recipe.seed)

    def collector(self, engine: Engine, sampling: Sampling, progress: Progress | None = None) -> Collector:
        return Collector(
            self.directory.store, engine, self.judge, sampling=sampling, seed=self.recipe.seed, progress=progress
        )

    def answering(self, engine: Engine) -> Collector:
        """A collector with the audit's sampling."""
        return self.collector(engine, self.recipe.audit.sampling.build())


def _described(points: Sequence[ValidationPoint]) -> str:
    def shown(name: str) -> str:
        values = [point.value(name) for point in points]
        return " -> ".join("?" if value is None else f"{value:.2f}" for value in (values[0], values[-1]))

    if not points:
        return "never watched"
    return f"on validation personas ASR {shown('persona.asr')}, benign refusals {shown('benign_persona.rta')}"
