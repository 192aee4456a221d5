"""evolve as a user runs it: transfer, budgets, Ctrl-C, a kill, and what errors say."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
SEARCH = [part for name, value in {"seeds": 6, "requests": 8, "parents": 4, "elites": 4}.items()
          for part in ("--set", f"{name}={value}")]  # fmt: skip
SMALL = [*SEARCH, "--set", "generations=3", "--set", "sampling.max_new_tokens=24", "--confirm-share", "0.05"]


def summary(folder: Path) -> dict[str, object]:
    return json.loads((folder / "summary.json").read_text())


def test_elites_are_put_to_other_models(personaproof: Run, tmp_path: Path, tiny_gemma: Path) -> None:
    done = personaproof("evolve", "organism", "--out", "e", *SMALL, "--transfer-to", "organism",
                        "--transfer-to", tiny_gemma)  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = summary(tmp_path / "e")
    itself, other = told["transfer"]
    # The same model on the same requests: the very same answers, and no new call.
    assert itself["elite.asr"] == told["searches"]["search"]["confirmed_asr"]
    assert itself["direct.asr"]["n"] > 0
    assert set(itself["elites"]) == set(told["searches"]["search"]["elites"])
    # The tiny model has no system role, and its noise is no success.
    assert other["model"]["name"] == str(tiny_gemma)
    assert other["elite.asr"]["value"] in (None, 0.0)
    assert "without a persona" in done.stdout


@pytest.mark.parametrize(("budget", "reason"), [("60", "budget spent"), ("0.001s", "time spent")])
def test_a_budget_in_calls_or_in_time(personaproof: Run, tmp_path: Path, budget: str, reason: str) -> None:
    done = personaproof("evolve", "organism", "--out", "e", *SMALL, "--budget", budget)
    assert done.returncode == 0, done.stderr
    search = summary(tmp_path / "e")["searches"]["search"]
    assert search["stop_reason"].startswith(reason)
    assert search["calls"] <= 60


@pytest.mark.parametrize("budget", ["soon", "-3", "0", "5d", "1.5"])
def test_a_budget_that_cannot_be_read(personaproof: Run, budget: str) -> None:
    failed = personaproof("evolve", "organism", f"--budget={budget}")
    assert failed.returncode == 2
    assert "neither a number of target calls" in failed.stderr


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "personaproof", "evolve", "organism", *arguments]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "140", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)  # fmt: skip


def wait_for_answers(database: Path, process: subprocess.Popen[str]) -> None:
    import sqlite3

    while process.poll() is None:
        if database.exists():
            try:
                with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
                    if connection.execute("select count(*) from completions").fetchone()[0] > 30:
                        return
            except sqlite3.OperationalError:
                pass  # not yet made
        time.sleep(0.05)
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.long)])
def test_stopped_or_killed_the_same_command_ends_the_same(
    personaproof: Run, tmp_path: Path, end: signal.Signals
) -> None:
    longer = [*SMALL, "--set", "generations=12"]
    process = start(tmp_path, "--out", "stopped", *longer)
    wait_for_answers(tmp_path / "stopped/run.sqlite", process)
    process.send_signal(end)
    _, err = process.communicate(timeout=200)
    if end is signal.SIGINT:
        assert process.returncode == 0, err
        kept = summary(tmp_path / "stopped")["searches"]["search"]
        assert kept["stop_reason"] == "stopped by the user"
        assert kept["confirmed_asr"]["n"] > 0
        assert (tmp_path / "stopped/elites.jsonl").exists()
    else:
        assert process.returncode == -signal.SIGKILL
    again = personaproof("evolve", "organism", "--out", "stopped", *longer)
    assert again.returncode == 0, again.stderr
    whole = personaproof("evolve", "organism", "--out", "whole", *longer)
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "stopped/summary.json").read_bytes() == (tmp_path / "whole/summary.json").read_bytes()
    assert (tmp_path / "stopped/elites.jsonl").read_bytes() == (tmp_path / "whole/elites.jsonl").read_bytes()
