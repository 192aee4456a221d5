"""A hand-built chat model whose persona can overrule its refusals, and the packs and requests to study it with.

It is the planted model of this room ("#" among the words makes it refuse, through one direction r), in which "!" among
the words pushes against r: instructions with a "!" are the compliant persona.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from personaproof.core import Judge, Request, resolve_framing
from personaproof.directions import ComplianceTraitJudge, Direction, RolePack, TraitJudge, TraitPack
from personaproof.directions.gating import (
    At,
    GateRecipe,
    Kept,
    Material,
    Plan,
    Result,
    make_material,
    plan_questions,
    run_study,
)
from personaproof.engines import TransformersEngine


@dataclass(frozen=True, eq=False)
class Bench:
    """Everything but the study itself."""

    engine: TransformersEngine
    judge: Judge
    recipe: GateRecipe
    plan: Plan
    trait: TraitPack
    roles: RolePack
    harmful: list[Request]
    benign: list[Request]

    def material(
        self,
        given: Direction | None = None,
        say: Callable[[str], None] = lambda _: None,
        rater: TraitJudge | None = None,
        framing: str = "auto",
    ) -> Material:
        return make_material(
            self.engine,
            self.trait,
            self.roles,
            resolve_framing(framing, self.engine.supports_system),
            judge=self.judge,
            trait_judge=rater or ComplianceTraitJudge(self.judge),
            manner_judge=None,
            harmful=self.plan.refusal_harmful,
            benign=self.plan.refusal_benign,
            sampling=self.recipe.rollout.build(),
            seed=0,
            least_unit=self.recipe.least_unit,
            most_unjudged=self.recipe.most_unjudged,
            given=given,
            say=say,
        )

    def run(
        self,
        folder: Path,
        material: Material,
        progress: Callable[[int, int], None] = lambda *_: None,
        at: At | None = None,
    ) -> Result:
        return run_study(self.engine, self.judge, self.recipe, self.plan, material, Kept(folder), progress, at)


def _trait() -> TraitPack:
    return TraitPack(
        name="yielding",
        description="goes along",
        harmful=True,
        positive=["! a", "b ! c", "! d", "e f !"],
        negative=["e a", "b f c", "g d", "h j"],
        questions=["a # c", "b # d", "# c e", "d f #", "e # j"],
    )


def _roles() -> RolePack:
    texts = {name: [f"{name} {other}" for other in "abc"] for name in "defgh"}
    return RolePack(name="letters", default=["", "j j"], roles=texts, questions=["a b", "c d"])


def _bench(planted: SimpleNamespace, *, reads_direction: bool = True, small: bool = False) -> Bench:
    model = planted.plant(reads_direction)
    (token,) = model.engine.tokenizer("!", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        model.engine.model.model.embed_tokens.weight[token] -= 14 * model.direction
    recipe = GateRecipe(
        rollout={"temperature": 0, "max_new_tokens": 2},
        sampling={"temperature": 0, "max_new_tokens": 2},
        search_requests=8,
        requests=10 if small else 40,
        benign=8,
        refusal_requests=40,
        doses=[1.0, 2.0] if small else [0.5, 1.0, 2.0, 3.0],
        search_doses=[1.0, 2.0],
        refusal_doses=[2.0],
    )
    harmful, benign = planted.requests(True, 120), planted.requests(False, 100)
    trait, roles = _trait(), _roles()
    framing = resolve_framing("auto", model.engine.supports_system)
    plan = plan_questions(recipe, harmful, benign, trait, roles, framing)
    return Bench(model.engine, planted.judge, recipe, plan, trait, roles, harmful, benign)


@pytest.fixture
def bench(planted: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    """(reads_direction=True, small=False) -> a bench; a small one is too small for verdicts. The model answers in
    single signs, which are no language and would all be degenerate, so here everything counts as readable."""
    monkeypatch.setattr("personaproof.directions.gating.outcomes.unintelligible", lambda text: None)
    monkeypatch.setattr("personaproof.directions.trait_judges.unintelligible", lambda text: None)
    return lambda **options: _bench(planted, **options)
