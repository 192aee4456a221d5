"""The gating study: whether, where and how strongly a compliant persona decides if a model refuses."""

from personaproof.directions.gating.compare import Comparison, compare
from personaproof.directions.gating.earlier import EarlierStudy
from personaproof.directions.gating.kept import FOLDER, PERSONA_DIRECTION, Kept
from personaproof.directions.gating.material import Material, make_material, needs_rater
from personaproof.directions.gating.outcomes import Cell, Outcome, classify
from personaproof.directions.gating.place import At, Place
from personaproof.directions.gating.questions import Context, Plan, Question, Questions, plan_questions
from personaproof.directions.gating.recipe import GateRecipe, gate_recipe
from personaproof.directions.gating.study import Result, planned_answers, run_study
from personaproof.directions.gating.summary import SCHEMA, gate_summary
from personaproof.directions.gating.verdict import Arm, Contrast, Evidence, GateVerdict, Moved, Thresholds, judge_gate

__all__ = [
    "FOLDER",
    "PERSONA_DIRECTION",
    "SCHEMA",
    "Arm",
    "At",
    "Cell",
    "Comparison",
    "Context",
    "Contrast",
    "EarlierStudy",
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
    "make_material",
    "needs_rater",
    "plan_questions",
    "planned_answers",
    "run_study",
]
