"""Side-by-side comparisons behind `personaproof bench`: every ratio comes from one run."""

from personaproof.bench.ratios import geometric_ratio
from personaproof.bench.search import SearchBench, SearchBenchRecipe, bench_recipe, run_search_bench

__all__ = ["SearchBench", "SearchBenchRecipe", "bench_recipe", "geometric_ratio", "run_search_bench"]
