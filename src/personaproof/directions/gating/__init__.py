"""The gating study: whether, where and how strongly a compliant persona decides if a model refuses."""

from personaproof.directions.gating.compare import Comparison, compare
from personaproof.directions.gating.kept import Kept
from personaproof.directions.gating.material import Material, make_material, needs_rater
from personaproof.directions.gating.outcomes import Cell, Outcome, classify
from personaproof.directions.gating.place import At, Place
from personaproof.directions.gating.questions import Context, Plan, Question, Questions, plan_questions
from personaproof.directions.gating.recipe import GateRecipe, gate_recipe
from personaproof.directions.gating.study import Result, kept_study, planned_answers, run_study
from personaproof.directions.gating.summary import SCHEMA, gate_summary, question_ids
from personaproof.directions.gating.verdict import Arm, Contrast, Evidence, GateVerdict, Moved, Thresholds, judge_gate

__all__ = [
    "SCHEMA",
    "Arm",
    "At",
    "Cell",
    "Comparison",
    "Context",
    "Contrast",
    "Evidence",
    "GateRecipe",
    "GateVerdict",
    "Kept",
    "Material",
    "Moved",
    "Outcome",
    "Place",
    "Plan",
    "Question",
    "Questions",
    "Result",
    "Thresholds",
    "classify",
    "compare",
    "gate_recipe",
    "gate_summary",
    "judge_gate",
    "kept_study",
    "make_material",
    "needs_rater",
    "plan_questions",
    "planned_answers",
    "question_ids",
    "run_study",
]
