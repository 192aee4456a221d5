"""Audits: the persona x request matrix with its direct control, its metrics, and paired comparison of two runs."""

from personaproof.audit.breakdown import by_category, by_persona
from personaproof.audit.compare import Comparison, MetricDifference, compare_outcomes, compare_stages
from personaproof.audit.metrics import ARMS, Arm, arm_of, audit_metrics
from personaproof.audit.perplexity import perplexity
from personaproof.audit.plan import AuditPlan, AuditRecipe, build_trials, choose, plan_audit
from personaproof.audit.run import SUMMARY_VERSION, Audit, audit_summary, run_audit

__all__ = [
    "ARMS",
    "SUMMARY_VERSION",
    "Arm",
    "Audit",
    "AuditPlan",
    "AuditRecipe",
    "Comparison",
    "MetricDifference",
    "arm_of",
    "audit_metrics",
    "audit_summary",
    "build_trials",
    "by_category",
    "by_persona",
    "choose",
    "compare_outcomes",
    "compare_stages",
    "perplexity",
    "plan_audit",
    "run_audit",
]
