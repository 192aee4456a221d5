"""A model and the adapters trained on it, one of them in memory at a time: a model of eight billion weights and its
training do not fit beside one another, let alone beside the models of every round."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch

from personaproof.core import Engine
from personaproof.engines import BATCH_SIZE, TransformersEngine


class OneModel:
    """Opens the untrained model, or it with an adapter, and lets go of whichever was open before.

    Whoever holds on to an engine that was handed out keeps its memory; ask again instead.
    """

    def __init__(self, path: str, open_engine: Callable[[Path | None], Engine]) -> None:
        """`path` is the untrained model's, a folder or Hub id; `open_engine` opens it with an adapter or, for None,
        without."""
        self.path, self._open_engine = path, open_engine
        self._held: tuple[Path | None, Engine] | None = None

    def get(self, adapter: Path | None = None) -> Engine:
        """The model with that adapter, or untrained."""
        if self._held is None or self._held[0] != adapter:
            self.let_go()
            self._held = (adapter, self._open_engine(adapter))
        return self._held[1]

    def let_go(self) -> None:
        """Free the memory of the model that is open."""
        if self._held is None:
            return
        self._held = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @cached_property
    def name(self) -> str:
        """What the untrained model is called."""
        return self.get().name

    @cached_property
    def fingerprint(self) -> str:
        """Of the untrained model."""
        return self.get().fingerprint

    @cached_property
    def supports_system(self) -> bool:
        return self.get().supports_system

    @cached_property
    def batch_size(self) -> int:
        """Most answers generated at once, as the user found them to fit."""
        base = self.get()
        return base.batch_size if isinstance(base, TransformersEngine) else BATCH_SIZE
