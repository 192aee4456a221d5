"""Localized on-policy distillation from a teacher steered towards refusal (SafeSteer)."""
