"""A command that ``accelerate launch`` started several times: one process does it, the others help it to train."""

from __future__ import annotations

from typing import Any


def call_assistants(*training: Any) -> None:
    """Have the other processes train along. `training`: model path, data, recipe, folder, fingerprint, judge."""
    from accelerate.utils import broadcast_object_list

    from personaproof.harden.processes import processes

    if processes().num_processes > 1:
        broadcast_object_list([training])


def assist() -> bool:
    """In any process but the main one, wait for its call, train along, and return True when that is done.

    Only the main process reads, asks and prints; where it fails, the launcher ends the others.
    """
    from accelerate.utils import broadcast_object_list

    from personaproof.cli._training import reward_for
    from personaproof.harden import harden
    from personaproof.harden.processes import processes

    if processes().is_main_process:
        return False
    received: list[Any] = [None]
    broadcast_object_list(received)
    model, data, recipe, folder, fingerprint, judge = received[0]
    harden(model, data, recipe, folder, fingerprint=fingerprint, reward=reward_for(data, recipe, judge))
    return True
