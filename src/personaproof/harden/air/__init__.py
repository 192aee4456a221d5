"""Anchor Invariance Regularization: meta-groups as a training set, their rewards, GRPO with an auxiliary loss."""

from __future__ import annotations

from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.method import Method, Training, TrainingJob


def _train(job: TrainingJob) -> Training:
    # TRL takes seconds to import, and only these methods need it.
    from personaproof.harden.air.training import train_groups

    return train_groups(job)


MEMORY = "run it again with a smaller micro_batch_rows, or lower groups_per_step, generations or max_new_tokens"

air, vrex, grpo = (Method(name, AIRRecipe, _train, MEMORY) for name in ("air", "vrex", "grpo"))
