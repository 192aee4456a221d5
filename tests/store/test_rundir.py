"""Run directories: manifests, the lock, whole files, and who may continue what."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from personaproof.core import StoreError
from personaproof.store import FinishedRun, RunDirectory, Store, file_hash, write_json
from personaproof.store import manifest as manifest_module

SETTINGS = {"recipe": {"samples": 1, "sampling": {"temperature": 0.7}}, "model": "model-a", "data": ("x", "y")}


def test_a_run_directory_holds_manifest_store_and_summary(tmp_path):
    out = tmp_path / "runs" / "one"
    with RunDirectory.open(out, command="audit", settings=SETTINGS, details={"name": "tiny"}) as run:
        run.add_details(splits={"shared_intents": 0})
        run.write_summary({"b": 1.5, "a": "ö"})
        assert run.report_path == out / "report.html"
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["command"] == "audit"
    assert manifest["settings"]["data"] == ["x", "y"]
    assert manifest["details"] == {"name": "tiny", "splits": {"shared_intents": 0}}
    assert {"python", "personaproof", "torch", "transformers"} <= set(manifest["versions"][0])
    assert (out / "summary.json").read_text(encoding="utf-8") == '{\n  "a": "ö",\n  "b": 1.5\n}\n'
    with RunDirectory.read(out) as run:
        assert run.read_summary() == {"a": "ö", "b": 1.5}
        assert run.manifest.settings["model"] == "model-a"


def test_the_same_command_continues_and_changes_no_byte(tmp_path):
    for _ in range(2):
        with RunDirectory.open(tmp_path / "run", command="audit", settings=SETTINGS) as run:
            manifest = run.manifest_path.read_bytes()
            run.write_summary({"n": 1})
    assert run.manifest_path.read_bytes() == manifest


@pytest.mark.parametrize(
    ("command", "settings", "named"),
    [
        ("evolve", SETTINGS, "command was 'audit', now 'evolve'"),
        ("audit", {**SETTINGS, "model": "model-b"}, "model was 'model-a', now 'model-b'"),
        (
            "audit",
            {**SETTINGS, "recipe": {"samples": 1, "sampling": {"temperature": 1.0}}},
            "recipe.sampling.temperature was 0.7, now 1.0",
        ),
        ("audit", {**SETTINGS, "adapter": "x"}, "adapter was None, now 'x'"),
        ("audit", {key: value for key, value in SETTINGS.items() if key != "model"}, "model was 'model-a', now None"),
    ],
)
def test_other_settings_need_another_directory(tmp_path, command, settings, named):
    with RunDirectory.open(tmp_path / "run", command="audit", settings=SETTINGS):
        pass
    with (
        pytest.raises(StoreError, match="choose another --out") as caught,
        RunDirectory.open(tmp_path / "run", command=command, settings=settings),
    ):
        pass
    assert named in str(caught.value)


def test_other_versions_are_noted_and_not_refused(tmp_path, monkeypatch):
    with RunDirectory.open(tmp_path / "run", command="audit", settings=SETTINGS):
        pass
    monkeypatch.setattr(manifest_module, "versions", lambda: {"python": "9.9"})
    for _ in range(2):
        with RunDirectory.open(tmp_path / "run", command="audit", settings=SETTINGS) as run:
            assert [entry["python"] for entry in run.manifest.versions[1:]] == ["9.9"]


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with (
        pytest.raises(StoreError, match=r"holds other files \(thesis.tex\)"),
        RunDirectory.open(tmp_path, command="audit", settings={}),
    ):
        pass
    with (
        pytest.raises(StoreError, match="is a file"),
        RunDirectory.open(tmp_path / "thesis.tex", command="audit", settings={}),
    ):
        pass
    with (
        pytest.raises(StoreError, match="a part of its path is a file"),
        RunDirectory.open(tmp_path / "thesis.tex" / "run", command="audit", settings={}),
    ):
        pass


def test_damaged_files_are_named(tmp_path):
    with RunDirectory.open(tmp_path / "run", command="audit", settings={}):
        pass
    with RunDirectory.read(tmp_path / "run") as run, pytest.raises(StoreError, match=r"no summary\.json yet"):
        run.read_summary()
    for text, message in (
        ("{", "cannot be read"),
        ("[]", "not hold a JSON object"),
        ("{}", "not a manifest of this personaproof version"),
    ):
        run.manifest_path.write_text(text)
        with pytest.raises(StoreError, match=message), RunDirectory.read(tmp_path / "run"):
            pass
    with pytest.raises(StoreError, match="not a run directory"), RunDirectory.read(tmp_path / "nothing"):
        pass


def test_errors_of_the_work_itself_pass_through(tmp_path):
    with (
        pytest.raises(FileNotFoundError),
        RunDirectory.open(tmp_path / "run", command="audit", settings={}),
    ):
        (tmp_path / "missing").read_text()


def test_a_directory_has_one_writer(tmp_path):
    with RunDirectory.open(tmp_path / "run", command="audit", settings={}):
        with (
            pytest.raises(StoreError, match=f"being written by process {os.getpid()} on"),
            RunDirectory.open(tmp_path / "run", command="audit", settings={}),
        ):
            pass
        with RunDirectory.read(tmp_path / "run"):
            pass
    with RunDirectory.open(tmp_path / "run", command="audit", settings={}):
        pass


HOLDER = """
import sys, time
from pathlib import Path
from personaproof.store.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_another_process_is_named_and_a_dead_one_leaves_no_lock(tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(out / ".lock")], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StoreError, match=f"process {holder.pid} on .*wait for it to end"),
            RunDirectory.open(out, command="audit", settings={}),
        ):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    with RunDirectory.open(out, command="audit", settings={}):
        assert str(os.getpid()) in (out / ".lock").read_text()


def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="the disk is full; free space"):
        write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}


def test_a_run_in_a_shared_database_is_found_again(tmp_path):
    url = f"sqlite:///{tmp_path / 'shared.sqlite'}"
    with RunDirectory.open(tmp_path / "run", command="audit", settings={"a": 1}, store_url=url) as run:
        assert run.manifest.store == str(tmp_path / "shared.sqlite")
        one = run.store.run_id
    with RunDirectory.open(tmp_path / "other", command="audit", settings={"a": 2}, store_url=url) as run:
        assert run.store.run_id != one
    assert not (tmp_path / "run" / "run.sqlite").exists()
    with pytest.raises(StoreError, match="give its URL with --store"), RunDirectory.read(tmp_path / "run"):
        pass
    with RunDirectory.read(tmp_path / "run", store_url=url) as run:
        assert isinstance(run.store, Store)


def test_passwords_stay_out_of_the_manifest(tmp_path):
    made = manifest_module.continue_or_create(tmp_path, "audit", {}, {}, "postgresql://me:secret@host/db")
    assert "secret" not in (tmp_path / "manifest.json").read_text()
    assert made.store == "postgresql+psycopg://me:***@host/db"


def test_file_hash_is_sha256_of_the_bytes(tmp_path: Path):
    path = tmp_path / "data.jsonl"
    path.write_bytes(b"abc")
    assert file_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_finished_run_is_read_by_the_command_that_made_it_and_its_settings_are_held_to(tmp_path):
    for missing in (tmp_path / "nowhere", tmp_path / "cut"):
        if missing.name == "cut":
            with RunDirectory.open(missing, command="gate", settings=SETTINGS):
                pass
        with pytest.raises(StoreError, match=f"{missing.name} is no finished run of `personaproof gate`"):
            FinishedRun.read(missing, "gate")
    with RunDirectory.open(tmp_path / "cut", command="gate", settings=SETTINGS) as run:
        run.write_summary({"n": 1})
    with pytest.raises(StoreError, match="no finished run of `personaproof audit`"):
        FinishedRun.read(tmp_path / "cut", "audit")
    found = FinishedRun.read(tmp_path / "cut", "gate")
    assert found.summary == {"n": 1}
    assert found.manifest.run_id == run.manifest.run_id
    found.check({"model": "model-a"})
    with pytest.raises(StoreError, match=r"recipe\.sampling\.temperature was 0\.7, now 1\.0"):
        found.check({"model": "model-a", "recipe": {"samples": 1, "sampling": {"temperature": 1.0}}})
    with pytest.raises(StoreError, match="judge was None, now 'x'"):
        found.check({"judge": "x"})
