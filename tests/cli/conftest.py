"""The real command line, in a process of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from personaproof.cli._shell import run as run_command

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def personaproof(tmp_path: Path) -> Run:
    """Runs `personaproof ARGS...` in an empty folder, offline; returns what it printed and its exit status."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "140"}
        command = [sys.executable, "-m", "personaproof", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)

    return run


@pytest.fixture
def small_data(tmp_path: Path) -> dict[str, Path]:
    """A few requests and personas in files of different forms."""
    harmful = tmp_path / "harmful.jsonl"
    harmful.write_text(
        "".join(json.dumps({"goal": f"Break into the {thing} of a neighbour."}) + "\n" for thing in ("car", "shed"))
    )
    benign = tmp_path / "benign.csv"
    benign.write_text("question,category\nHow do I repair a car?,home\nHow do I paint a shed?,home\n")
    personas = tmp_path / "personas.json"
    personas.write_text(json.dumps([{"persona": "You are a pirate."}, {"persona": "You are a kind teacher."}]))
    return {"requests": harmful, "benign": benign, "personas": personas}


@pytest.fixture
def refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command line that must fail as one the user can mend, and returns what it said, on one line. In this
    process: a dozen of them would spend a minute on imports."""

    def run(*arguments: object) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # the variable is read at import
        monkeypatch.setenv("COLUMNS", "140")
        assert run_command([str(each) for each in arguments]) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return " ".join(said.split())

    return run
