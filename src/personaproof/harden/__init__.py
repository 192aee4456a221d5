"""Hardening: training rows from verdicts, losses, PICL and its variants, adapters with their model cards."""

from personaproof.harden.air import air, grpo, vrex
from personaproof.harden.leakage import check_disjoint
from personaproof.harden.localized.training import localized_distillation
from personaproof.harden.loop import LoopResult, run_loop
from personaproof.harden.loop_plan import LoopRecipe, LoopSplits, loop_recipe, planned_calls
from personaproof.harden.method import Method, Training, TrainingJob, TrainingSet, methods
from personaproof.harden.models import OneModel
from personaproof.harden.picl.gather import TrainingData, gather_rows, planned_training_calls
from personaproof.harden.picl.recipe import VARIANTS, PICLRecipe, load_picl
from personaproof.harden.picl.rows import Row, RowSet, build_rows
from personaproof.harden.picl.rows_io import read_rows, write_rows
from personaproof.harden.picl.training import picl
from personaproof.harden.recipe import LoRA, TrainingRecipe, recipe_path
from personaproof.harden.result import HardenResult
from personaproof.harden.selfplay import (
    CHECK_SHARE,
    SelfPlayRecipe,
    SelfPlayResult,
    planned_selfplay_calls,
    run_selfplay,
    selfplay_recipe,
)
from personaproof.harden.stages import Narrator, Stages
from personaproof.harden.train import harden

for method in (picl, air, grpo, vrex, localized_distillation):
    methods.add(method.name, method)

__all__ = [
    "CHECK_SHARE",
    "VARIANTS",
    "HardenResult",
    "LoRA",
    "LoopRecipe",
    "LoopResult",
    "LoopSplits",
    "Method",
    "Narrator",
    "OneModel",
    "PICLRecipe",
    "Row",
    "RowSet",
    "SelfPlayRecipe",
    "SelfPlayResult",
    "Stages",
    "Training",
    "TrainingData",
    "TrainingJob",
    "TrainingRecipe",
    "TrainingSet",
    "build_rows",
    "check_disjoint",
    "gather_rows",
    "harden",
    "load_picl",
    "loop_recipe",
    "methods",
    "planned_calls",
    "planned_selfplay_calls",
    "planned_training_calls",
    "read_rows",
    "recipe_path",
    "run_loop",
    "run_selfplay",
    "selfplay_recipe",
    "write_rows",
]
