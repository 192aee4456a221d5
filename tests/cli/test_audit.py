import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]


def flags(data: dict[str, Path]) -> list[object]:
    return [part for name, path in data.items() for part in (f"--{name}", path)]


def test_help_names_every_verb_and_its_options(personaproof: Run) -> None:
    top = personaproof("--help")
    assert top.returncode == 0
    for verb in ("demo", "audit", "evolve", "harden", "report", "compare", "organism"):
        assert verb in top.stdout
    assert "over-refusal" in personaproof("audit", "--help").stdout


def test_the_organism_is_audited_compared_and_reported(
    personaproof: Run, small_data: dict[str, Path], tmp_path: Path
) -> None:
    first = personaproof("audit", "organism", *flags(small_data), "--out", "one")
    assert first.returncode == 0, first.stderr
    assert re.search(r"12 answers to generate", first.stdout)
    summary = json.loads((tmp_path / "one/summary.json").read_text())
    for name in ("direct.asr", "persona.asr", "benign.rta", "benign_persona.rta", "unjudged.rate"):
        assert set(summary["metrics"][name]) == {"value", "ci95", "n"}
    assert (tmp_path / "one/report.html").stat().st_size > 10_000

    again = personaproof("audit", "organism", *flags(small_data), "--out", "one")
    assert again.returncode == 0
    assert json.loads((tmp_path / "one/summary.json").read_text()) == summary

    greedy = personaproof("audit", "organism", *flags(small_data), "--out", "two", "--set", "sampling.temperature=0")
    assert greedy.returncode == 0, greedy.stderr
    compared = personaproof("compare", "one", "two", "--out", "compare.html")
    assert compared.returncode == 0, compared.stderr
    assert "12 trials are in both runs" in compared.stdout
    assert (tmp_path / "compare.html").exists()

    (tmp_path / "one/report.html").unlink()
    assert personaproof("report", "one").returncode == 0
    assert (tmp_path / "one/report.html").exists()


def test_a_random_model_is_reported_as_unjudged(
    personaproof: Run, small_data: dict[str, Path], tmp_path: Path, tiny_qwen2: Path
) -> None:
    done = personaproof(
        "audit", tiny_qwen2, *flags(small_data), "--out", "random", "--set", "sampling.max_new_tokens=40"
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "random/summary.json").read_text())["metrics"]
    assert metrics["unjudged.rate"]["value"] > 0.5
    assert metrics["utility.in_character"] == {"value": None, "ci95": None, "n": 0}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-folder/model"], "no-such-folder/model"),
        (["organism", "--set", "sampls=2"], "did you mean 'samples'"),
        (["organism", "--set", "framing=systm"], "did you mean 'system'"),
        (["organism", "--judge", "wildgard"], "did you mean 'wildguard'"),
        (["organism", "--judge", "wildguard"], "--judge-model"),
        (["organism", "--requests", "missing.jsonl"], "missing.jsonl"),
        (["organism", "--requests", "empty.jsonl"], "empty"),
        (["organism", "--requests", "broken.jsonl"], "broken.jsonl:2"),
        (["organism", "--recipe", "none.yaml"], "no recipe at"),
    ],
)
def test_errors_say_what_to_do(personaproof: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "broken.jsonl").write_text('{"prompt": "fine"}\n{"prompt": \n')
    failed = personaproof("audit", *arguments)
    assert failed.returncode == 2
    assert says in failed.stderr.replace("\n", " ")
    assert "Traceback" not in failed.stderr


@pytest.fixture
def bare(tmp_path: Path, tiny_llama: Path) -> Path:
    """A model without a chat template, as base models and some classifiers come."""
    folder = tmp_path / "bare"
    shutil.copytree(tiny_llama, folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def test_a_model_without_a_chat_template(personaproof: Run, bare: Path) -> None:
    failed = personaproof("audit", bare)
    assert failed.returncode == 2
    assert "chat template" in failed.stderr


def test_a_classifier_judge_brings_its_own_chat_template(
    personaproof: Run, small_data: dict[str, Path], tmp_path: Path, bare: Path
) -> None:
    done = personaproof(
        "audit", "organism", *flags(small_data), "--judge", "wildguard", "--judge-model", bare, "--out", "judged"
    )
    assert done.returncode == 0, done.stderr
    # A random judge's noise parses as no verdict, and none is made up for it.
    metrics = json.loads((tmp_path / "judged/summary.json").read_text())["metrics"]
    assert metrics["unjudged.rate"]["value"] == 1.0


def test_another_run_is_not_overwritten(personaproof: Run, small_data: dict[str, Path]) -> None:
    assert personaproof("audit", "organism", *flags(small_data), "--out", "run").returncode == 0
    failed = personaproof("audit", "organism", *flags(small_data), "--out", "run", "--set", "seed=1")
    assert failed.returncode == 2
    assert "choose another --out" in failed.stderr.replace("\n", " ")
