"""What a transformers Trainer tells while it runs, in our forms: progress, and the training curve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from transformers import TrainerCallback

from personaproof.core import Progress


class Report(TrainerCallback):  # type: ignore[misc]
    """Passes (steps done, steps) on."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, state.max_steps)


def curve_of(history: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, float], ...]:
    """The training curve from a Trainer's log: an entry a step, numbers only."""
    return tuple(
        {key: int(value) if key == "step" else float(value) for key, value in entry.items() if value is not None}
        for entry in history
        if "loss" in entry
    )
