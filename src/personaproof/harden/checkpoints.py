"""Which checkpoint to go on from, when a kill may have cut the last one short."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from personaproof.harden.processes import main_process_first, processes
from personaproof.store.files import write_json

_NAME = re.compile(r"checkpoint-(\d+)")
_MARK = "complete.json"


class MarkComplete(TrainerCallback):  # type: ignore[misc]
    """Marks each checkpoint once every process has written its part of it."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        team = processes()
        team.wait_for_everyone()
        if team.is_main_process:
            folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            write_json(folder / _MARK, {"processes": team.num_processes})


def newest_whole(folder: Path) -> Path | None:
    """The newest complete checkpoint in `folder`, or None. Those cut short, which the Trainer would stumble over, are
    deleted."""
    with main_process_first():
        found = [(int(match[1]), path) for path in folder.glob("checkpoint-*") if (match := _NAME.fullmatch(path.name))]
        for _, path in sorted(found, reverse=True):
            if _is_whole(path):
                return path
            shutil.rmtree(path)
    return None


def _is_whole(path: Path) -> bool:
    try:
        state = json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return (path / _MARK).is_file() and isinstance(state, dict) and "global_step" in state
