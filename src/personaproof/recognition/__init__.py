"""Who does the model think wrote this? Surprise, claims, and the reference that joins them (2606.00545)."""

from personaproof.recognition.analysis import PREDICTORS, Analysis, Matrices, matrices
from personaproof.recognition.compare import Comparison, compare_studies
from personaproof.recognition.conditions import Conditions, read_conditions, shared_personas, study_conditions
from personaproof.recognition.measure import Claims, claims, mean_response, surprise, text_paths
from personaproof.recognition.panel import ASSISTANT, Member, Panel, build_panel
from personaproof.recognition.recipe import ClaimQuestion, RecognizeRecipe, recipe_path
from personaproof.recognition.shared import score_shared, shared_response_means, sharing
from personaproof.recognition.study import Study, run_study, study_layer
from personaproof.recognition.summary import analyse, read_matrices, study_summary
from personaproof.recognition.texts import Text, Texts, write_texts
from personaproof.recognition.verdict import Verdict, decide, verdict

__all__ = [
    "ASSISTANT",
    "PREDICTORS",
    "Analysis",
    "ClaimQuestion",
    "Claims",
    "Comparison",
    "Conditions",
    "Matrices",
    "Member",
    "Panel",
    "RecognizeRecipe",
    "Study",
    "Text",
    "Texts",
    "Verdict",
    "analyse",
    "build_panel",
    "claims",
    "compare_studies",
    "decide",
    "matrices",
    "mean_response",
    "read_conditions",
    "read_matrices",
    "recipe_path",
    "run_study",
    "score_shared",
    "shared_personas",
    "shared_response_means",
    "sharing",
    "study_conditions",
    "study_layer",
    "study_summary",
    "surprise",
    "text_paths",
    "verdict",
    "write_texts",
]
