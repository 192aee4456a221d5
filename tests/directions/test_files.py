"""Directions on disk and on their way to llama.cpp: back to the bit, and damage is found."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from personaproof.core import ModelError, StoreError
from personaproof.directions import Direction, check_fits, export_gguf, load_direction, save_direction, steer
from personaproof.directions.direction import template_hash
from personaproof.engines import TransformersEngine


@pytest.fixture
def direction(llama: TransformersEngine, random_vector: Any) -> Direction:
    return Direction(
        vector=random_vector(llama),
        layer=2,
        position="prompt[-1]",
        method="refusal",
        model=llama.name,
        fingerprint=llama.fingerprint,
        architecture="llama",
        template=template_hash(llama),
        data="data_0",
        activation_norm=3.5,
    )


def _same(one: Direction, other: Direction) -> bool:
    return torch.equal(one.vector, other.vector) and {**vars(one), "vector": 0} == {**vars(other), "vector": 0}


@pytest.mark.parametrize("name", ["refusal", "refusal.safetensors", "refusal-0.5", "new/folder/refusal.json"])
def test_a_direction_comes_back_as_it_was(tmp_path: Path, direction: Direction, name: str) -> None:
    path = save_direction(direction, tmp_path / name)
    assert path.suffix == ".safetensors"
    assert _same(load_direction(path), direction)
    assert _same(load_direction(tmp_path / name), direction)
    assert not list(path.parent.glob(".*"))


def test_damage_is_found_and_explained(tmp_path: Path, direction: Direction) -> None:
    path = save_direction(direction, tmp_path / "d")
    sidecar = tmp_path / "d.json"
    payload, text = path.read_bytes(), sidecar.read_text()
    about = json.loads(text)

    def damaged(match: str, tensors: bytes = payload, **changes: object) -> None:
        path.write_bytes(tensors)
        sidecar.write_text(json.dumps({**about, **changes}))
        with pytest.raises(StoreError, match=match):
            load_direction(path)

    damaged("damaged", payload[:-1])
    damaged("damaged", payload[:-1] + b"\x00" if payload[-1:] != b"\x00" else payload[:-1] + b"\x01")
    damaged("not 1", schema_version=2)
    damaged("does not describe", layer="two")
    damaged("does not describe", surprise=1)
    damaged("is not|not \\(49,\\)", width=49)
    sidecar.write_text("{")
    with pytest.raises(StoreError, match="does not describe"):
        load_direction(path)
    sidecar.write_text("[]")
    with pytest.raises(StoreError, match="does not describe"):
        load_direction(path)
    sidecar.unlink()
    with pytest.raises(StoreError, match=r"no .*json"):
        load_direction(path)


def test_tensors_that_are_no_direction_are_refused(tmp_path: Path, direction: Direction) -> None:
    import hashlib

    path = save_direction(direction, tmp_path / "d")
    about = json.loads((tmp_path / "d.json").read_text())
    for tensors in ({"other": direction.vector}, {"direction": direction.vector * float("nan")}):
        save_file(tensors, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (tmp_path / "d.json").write_text(json.dumps({**about, "sha256": digest}))
        with pytest.raises(StoreError, match="does not hold a direction"):
            load_direction(path)


def test_a_direction_of_another_model_does_not_pass(
    llama: TransformersEngine, organism: TransformersEngine, tiny_llama: Path, direction: Direction
) -> None:
    check_fits(direction, llama)
    with pytest.raises(ModelError, match="does not fit a model of width 256"):
        check_fits(direction, organism)
    with pytest.raises(ModelError, match="does not fit"), steer(organism, direction):
        raise AssertionError("entered")
    trained = TransformersEngine.load(tiny_llama, dtype="float32", device="cpu")
    with torch.no_grad():
        trained.model.model.norm.weight.add_(0.5)
    with pytest.raises(ModelError, match="weights, adapter or tokenizer differ"):
        check_fits(direction, trained)
    check_fits(direction, trained, same_weights=False)
    trained.tokenizer.chat_template += " "
    with pytest.raises(ModelError, match="another chat template"):
        check_fits(direction, trained, same_weights=False)
    with pytest.raises(ModelError, match="no layer 9"):
        check_fits(replace(direction, layer=9), llama)


def test_a_direction_without_length_cannot_be_made(direction: Direction) -> None:
    for bad in (torch.zeros(48), torch.full((48,), float("inf")), torch.ones(2, 24), torch.ones(48).double()):
        with pytest.raises(ValueError):
            replace(direction, vector=bad)


def test_llama_cpp_reads_the_vector_at_the_block_before(tmp_path: Path, direction: Direction) -> None:
    gguf = pytest.importorskip("gguf")
    later = replace(direction, vector=-direction.vector, layer=5)
    path = export_gguf([later, direction], tmp_path / "new" / "refusal.gguf")
    reader = gguf.GGUFReader(path)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    assert fields["general.architecture"] == "controlvector"
    assert fields["controlvector.model_hint"] == "llama"
    assert fields["controlvector.layer_count"] == 2
    stored = {tensor.name: torch.tensor(tensor.data.copy()) for tensor in reader.tensors}
    assert torch.equal(stored["direction.1"], direction.vector)
    assert torch.equal(stored["direction.4"], later.vector)
    assert len(stored) == 2
    assert [p.name for p in path.parent.iterdir()] == ["refusal.gguf"]


def test_what_llama_cpp_cannot_hold_is_not_exported(
    tmp_path: Path, direction: Direction, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.gguf"
    for directions, match in (
        ([], "no direction"),
        ([replace(direction, layer=1)], "layer 2 or later"),
        ([direction, direction], "several directions of one layer"),
        ([direction, replace(direction, layer=3, fingerprint="other")], "different models"),
    ):
        with pytest.raises(ModelError, match=match):
            export_gguf(directions, path)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match="gguf package"):
        export_gguf([direction], path)
    assert not path.exists()
