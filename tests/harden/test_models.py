"""One model in memory at a time."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from pathlib import Path

from personaproof.harden import OneModel


@dataclass(eq=False)
class Opened:
    adapter: Path | None
    supports_system: bool = True

    @property
    def name(self) -> str:
        return "model"

    @property
    def fingerprint(self) -> str:
        return f"with {self.adapter}"


def test_opening_one_lets_go_of_the_other() -> None:
    opened: list[weakref.ref[Opened]] = []

    def open_engine(adapter: Path | None) -> Opened:
        gc.collect()
        assert all(one() is None for one in opened), "two models are in memory"
        engine = Opened(adapter)
        opened.append(weakref.ref(engine))
        return engine

    models = OneModel("somewhere", open_engine)  # type: ignore[arg-type]
    assert opened == []  # nothing is loaded before it is needed
    assert models.fingerprint == "with None"
    assert models.get() is models.get()
    assert models.get(Path("a")).fingerprint == "with a"
    assert models.fingerprint == "with None"  # known, without opening it again
    models.let_go()
    models.let_go()
    assert len(opened) == 2
    assert opened[-1]() is None
    assert models.get(Path("a")).fingerprint == "with a"
    assert len(opened) == 3
