"""Self-contained HTML reports, comparisons of two runs, and the same tables for the terminal."""

from personaproof.report.bench import over_seeds, search_bench_headline, search_bench_sections, series_over
from personaproof.report.build import (
    build_lineage,
    build_metric_rows,
    build_search_curve,
    build_training_curves,
)
from personaproof.report.compare import build_comparison, write_comparison
from personaproof.report.confirmation import Confirmation, ConfirmedElite, build_confirmation
from personaproof.report.console import comparison_table, metrics_table
from personaproof.report.data import (
    Cell,
    Difference,
    Diversity,
    DiversityAxis,
    DiversityRow,
    Estimate,
    Example,
    ExampleAnswer,
    Headline,
    Heatmap,
    HeatmapColumn,
    HeatmapRow,
    Lineage,
    LineageEdge,
    LineageNode,
    MetricRow,
    ModelText,
    SearchCurve,
    TrainingCurve,
)
from personaproof.report.diversity import build_diversity
from personaproof.report.document import ComparisonData, ReportData
from personaproof.report.headline import build_headline
from personaproof.report.matrix import build_examples, build_heatmap
from personaproof.report.page import render_report, write_report
from personaproof.report.run import run_report
from personaproof.report.section import Number, Plot, Point, Section, Series, Table
from personaproof.report.selfplay import build_selfplay
from personaproof.report.trained_on import build_trained_on, trained_on_sentence
from personaproof.report.transfer import Transfer, TransferRow, build_transfer
from personaproof.report.validation import build_validation, frontier

__all__ = [
    "Cell",
    "ComparisonData",
    "Confirmation",
    "ConfirmedElite",
    "Difference",
    "Diversity",
    "DiversityAxis",
    "DiversityRow",
    "Estimate",
    "Example",
    "ExampleAnswer",
    "Headline",
    "Heatmap",
    "HeatmapColumn",
    "HeatmapRow",
    "Lineage",
    "LineageEdge",
    "LineageNode",
    "MetricRow",
    "ModelText",
    "Number",
    "Plot",
    "Point",
    "ReportData",
    "SearchCurve",
    "Section",
    "Series",
    "Table",
    "TrainingCurve",
    "Transfer",
    "TransferRow",
    "build_comparison",
    "build_confirmation",
    "build_diversity",
    "build_examples",
    "build_headline",
    "build_heatmap",
    "build_lineage",
    "build_metric_rows",
    "build_search_curve",
    "build_selfplay",
    "build_trained_on",
    "build_training_curves",
    "build_transfer",
    "build_validation",
    "comparison_table",
    "frontier",
    "metrics_table",
    "over_seeds",
    "render_report",
    "run_report",
    "search_bench_headline",
    "search_bench_sections",
    "series_over",
    "trained_on_sentence",
    "write_comparison",
    "write_report",
]
