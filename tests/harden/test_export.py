"""The export for lm-evaluation-harness: what the harness will load is the hardened model, or the check says so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from personaproof.core import ModelError, StoreError
from personaproof.harden import Row, RowSet, harden, load_picl, write_rows
from personaproof.harden.export import check_export, export_lm_eval, find_source, lm_eval_command

BASE = ("dtype=float32", "batch_rows=15", "learning_rate=0.02", "max_steps=3", "gradient_checkpointing=false")


@pytest.fixture(scope="module")
def hardened(tiny_llama: Path, toy_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("hardened")
    harden(tiny_llama, RowSet(tuple(toy_rows)), load_picl("picl", *BASE), out)
    write_rows(toy_rows, out / "rows.jsonl")
    return out


@pytest.fixture
def export(hardened: Path, tmp_path: Path) -> Path:
    export_lm_eval(find_source(hardened), tmp_path / "export", dtype="float32", tasks=["arc_easy"])
    return tmp_path / "export"


def _logprobs(model: Any, entry: Any) -> torch.Tensor:
    tokens = torch.tensor([entry["prompt"] + entry["response"]])
    with torch.no_grad():
        logp = model(tokens).logits[0].log_softmax(-1)
    first = len(entry["prompt"]) - 1
    return logp[range(first, tokens.shape[1] - 1), torch.tensor(entry["response"])]


def test_the_export_names_the_adapter_and_keeps_both_models_numbers(
    export: Path, hardened: Path, tiny_llama: Path
) -> None:
    settings = yaml.safe_load((export / "lm_eval.yaml").read_text())
    assert settings == {
        "model": "hf",
        "model_args": {"pretrained": str(tiny_llama), "peft": str(hardened / "adapter"), "dtype": "float32"},
        "apply_chat_template": True,
        "tasks": ["arc_easy"],
    }
    assert lm_eval_command(export) == f"lm-eval run --config {export / 'lm_eval.yaml'}"
    base = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    probes = json.loads((export / "probes.json").read_text())["probes"]
    assert len(probes) == 8
    for entry in probes:
        torch.testing.assert_close(_logprobs(base, entry), torch.tensor(entry["base"]), rtol=1e-4, atol=1e-4)
    trained = PeftModel.from_pretrained(base, hardened / "adapter").eval()
    for entry in probes:
        torch.testing.assert_close(_logprobs(trained, entry), torch.tensor(entry["hardened"]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("merge", [False, True], ids=["adapter", "merged"])
def test_what_the_harness_loads_is_the_hardened_model(hardened: Path, tmp_path: Path, merge: bool) -> None:
    found = export_lm_eval(find_source(hardened), tmp_path / "export", merge=merge, dtype="float32")
    assert found.to_hardened < 1e-3 < 0.1 < found.to_base
    assert found.effect == pytest.approx(found.to_base, rel=0.01)
    assert check_export(tmp_path / "export") == found
    if merge:
        assert "peft" not in yaml.safe_load((tmp_path / "export/lm_eval.yaml").read_text())["model_args"]
        AutoTokenizer.from_pretrained(tmp_path / "export/model")
        # What an audit reads to tell whether its data was trained on.
        assert (tmp_path / "export/model/training_data.json").is_file()


def test_settings_that_forget_the_adapter_are_found_out(export: Path) -> None:
    settings = yaml.safe_load((export / "lm_eval.yaml").read_text())
    del settings["model_args"]["peft"]
    (export / "lm_eval.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ModelError, match="scores the base model, not the hardened one"):
        check_export(export)


def test_another_adapter_is_found_out(export: Path, tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    other = harden(tiny_llama, RowSet(tuple(toy_rows)), load_picl("picl", *BASE, "seed=9"), tmp_path / "other")
    settings = yaml.safe_load((export / "lm_eval.yaml").read_text())
    settings["model_args"]["peft"] = str(other.path)
    (export / "lm_eval.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(ModelError, match="scores another model than was exported"):
        check_export(export)


def test_an_adapter_of_another_model_says_what_to_do(hardened: Path, tiny_qwen2: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not fit.*Name the model it was trained on with --base"):
        export_lm_eval(find_source(hardened, str(tiny_qwen2)), tmp_path / "export", dtype="float32")
    assert not (tmp_path / "export").exists()


def test_an_adapter_that_changes_nothing_is_no_proof(tiny_llama: Path, toy_rows: list[Row], tmp_path: Path) -> None:
    idle = harden(
        tiny_llama,
        RowSet(tuple(toy_rows)),
        load_picl("picl", *BASE, "learning_rate=1e-12", "max_steps=1"),
        tmp_path / "a",
    )
    with pytest.raises(ModelError, match="rounding could hide"):
        export_lm_eval(find_source(idle.path), tmp_path / "export", dtype="float32")


def test_a_whole_model_is_compared_with_the_one_it_came_from(
    tiny_llama: Path, toy_rows: list[Row], tmp_path: Path
) -> None:
    recipe = load_picl("picl", *BASE, "mode=full", "learning_rate=0.001")
    harden(tiny_llama, RowSet(tuple(toy_rows)), recipe, tmp_path / "out")
    with pytest.raises(ModelError, match="name the one it was trained from with --base"):
        find_source(tmp_path / "out")
    found = export_lm_eval(find_source(tmp_path / "out", str(tiny_llama)), tmp_path / "export", dtype="float32")
    assert found.to_hardened < 1e-3 < found.effect


def test_bad_inputs_say_what_to_do(hardened: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="neither an adapter nor a model"):
        find_source(tmp_path)
    with pytest.raises(StoreError, match="is not an export"):
        check_export(tmp_path)
    nameless = tmp_path / "adapter"
    shutil.copytree(hardened / "adapter", nameless)
    config = json.loads((nameless / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = None
    (nameless / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="--base"):
        find_source(nameless)


def test_the_harness_itself_scores_the_adapter(export: Path, hardened: Path, tiny_llama: Path) -> None:
    """Its own model class and its own loglikelihood request, not only our reading of them."""
    huggingface = pytest.importorskip("lm_eval.models.huggingface", reason="lm_eval is not installed")
    instance = pytest.importorskip("lm_eval.api.instance", reason="lm_eval is not installed")
    assert check_export(export).loaded_by == "lm_eval"
    harness = huggingface.HFLM(**yaml.safe_load((export / "lm_eval.yaml").read_text())["model_args"], device="cpu")
    entry = json.loads((export / "probes.json").read_text())["probes"][0]
    *prompt, newline = entry["prompt"]
    *response, end = entry["response"]
    assert end == harness.tokenizer.eos_token_id
    texts = (harness.tokenizer.decode([*prompt, newline]), harness.tokenizer.decode(response))
    request = instance.Instance("loglikelihood", {}, texts, 0)
    [(total, _)] = harness.loglikelihood([request], disable_tqdm=True)
    # The harness counts white space at the end of a prompt as part of the continuation.
    counted = {"prompt": prompt, "response": [newline, *response]}
    base = AutoModelForCausalLM.from_pretrained(tiny_llama).eval()
    untrained = float(_logprobs(base, counted).sum())
    trained = float(_logprobs(PeftModel.from_pretrained(base, hardened / "adapter").eval(), counted).sum())
    assert total == pytest.approx(trained, abs=0.01)
    assert abs(total - untrained) > 1
