"""Side-by-side comparisons behind `personaproof bench`: every ratio comes from one run."""

from personaproof.bench.air import AIRArm, AIRBench, AIRBenchRecipe, AIRSeed, GroupData
from personaproof.bench.directions import DirectionsBench, DirectionsBenchRecipe, run_directions_bench
from personaproof.bench.harden import COLUMNS, Arm, HardenBench, HardenBenchRecipe, run_seed
from personaproof.bench.loss import LossBench, LossBenchRecipe, run_loss_bench
from personaproof.bench.ratios import geometric_ratio
from personaproof.bench.scale import ScalePoint, measure_scale
from personaproof.bench.search import SearchBench, SearchBenchRecipe, bench_recipe, run_search_bench

__all__ = [
    "COLUMNS",
    "AIRArm",
    "AIRBench",
    "AIRBenchRecipe",
    "AIRSeed",
    "Arm",
    "DirectionsBench",
    "DirectionsBenchRecipe",
    "GroupData",
    "HardenBench",
    "HardenBenchRecipe",
    "LossBench",
    "LossBenchRecipe",
    "ScalePoint",
    "SearchBench",
    "SearchBenchRecipe",
    "bench_recipe",
    "geometric_ratio",
    "measure_scale",
    "run_directions_bench",
    "run_loss_bench",
    "run_search_bench",
    "run_seed",
]
