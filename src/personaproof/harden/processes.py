"""Several processes training one model (``accelerate launch``): who writes, and how they wait for one another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from accelerate import PartialState

from personaproof.engines._loading import choose_device

PATIENCE = timedelta(days=1)
"""How long processes wait for each other: one of them may be asking the model for training answers all night."""


def processes() -> PartialState:
    """This process among those started together. Alone, it is the main process of one."""
    # Without an accelerator the processes must be told so, or each takes itself to be the only one.
    return PartialState(cpu=choose_device("auto").type == "cpu", timeout=PATIENCE)


@contextmanager
def main_process_first() -> Iterator[None]:
    """Inside the block the main process goes first and the others follow together, also where it fails: so all of them
    find what it wrote, or fail for the same reason."""
    team = processes()
    if not team.is_main_process:
        team.wait_for_everyone()
    try:
        yield
    finally:
        if team.is_main_process:
            team.wait_for_everyone()


def splits_weights() -> bool:
    """Whether the launcher asks for FSDP."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
