"""Loading, adapters and fingerprints: what must differ differs, and errors say what to do."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from personaproof.core import Conversation, Job, Message, ModelError, Sampling
from personaproof.engines._loading import choose_device, choose_dtype
from personaproof.engines.transformers import TransformersEngine

JOB = Job(Conversation((Message("user", "Tell me a story."),)), Sampling(temperature=0, max_new_tokens=16))


def load(folder: Path, **options: object) -> TransformersEngine:
    options = {"dtype": "float32", "device": "cpu", **options}
    return TransformersEngine.load(folder, **options)  # type: ignore[arg-type]


def save_adapter(model_folder: Path, folder: Path, seed: int, **options: object) -> Path:
    torch.manual_seed(seed)
    settings = {"r": 4, "lora_alpha": 32, "target_modules": ["q_proj", "v_proj", "o_proj"], **options}
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder), LoraConfig(**settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    model.save_pretrained(folder)
    return folder


def test_the_same_model_elsewhere_has_the_same_fingerprint(tiny_llama: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_llama, tmp_path / "renamed")
    engine = load(tiny_llama)
    assert load(copy).fingerprint == engine.fingerprint
    in_memory = TransformersEngine(
        AutoModelForCausalLM.from_pretrained(tiny_llama), AutoTokenizer.from_pretrained(copy), name="another name"
    )
    assert in_memory.fingerprint == engine.fingerprint
    assert in_memory.name == "another name"


def test_whatever_decides_answers_changes_the_fingerprint(tiny_llama: Path, tmp_path: Path) -> None:
    fingerprints = [load(tiny_llama).fingerprint, load(tiny_llama, dtype="bfloat16").fingerprint]

    weights = AutoModelForCausalLM.from_pretrained(tiny_llama)
    with torch.no_grad():
        weights.model.norm.weight[3] += 1e-3
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama)
    fingerprints.append(TransformersEngine(weights, tokenizer).fingerprint)

    template = shutil.copytree(tiny_llama, tmp_path / "template")
    (template / "chat_template.jinja").write_text((template / "chat_template.jinja").read_text() + " ")
    fingerprints.append(load(template).fingerprint)

    config = shutil.copytree(tiny_llama, tmp_path / "config")
    values = json.loads((config / "config.json").read_text())
    (config / "config.json").write_text(json.dumps({**values, "rms_norm_eps": 1e-3}))
    fingerprints.append(load(config).fingerprint)

    extended = AutoTokenizer.from_pretrained(tiny_llama)
    extended.add_tokens(["<|new|>"])
    fingerprints.append(TransformersEngine(load(tiny_llama).model, extended).fingerprint)
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_fingerprint_follows_a_model_in_training(tiny_llama: Path) -> None:
    engine = load(tiny_llama)
    before = engine.fingerprint
    assert engine.fingerprint == before
    optimiser = torch.optim.AdamW(engine.model.parameters(), lr=1e-2)
    tokens = torch.tensor([[1, 2, 3]])
    engine.model(input_ids=tokens, labels=tokens).loss.backward()
    optimiser.step()
    after = engine.fingerprint
    assert after != before
    # Engine calls in between leave the model trainable.
    engine.generate_batch([JOB])
    engine.model(input_ids=tokens, labels=tokens).loss.backward()
    optimiser.step()
    assert len({before, after, engine.fingerprint, engine.generate_batch([JOB])[0].key}) == 4


def test_adapters_change_answers_and_fingerprints(tiny_llama: Path, tmp_path: Path) -> None:
    base = load(tiny_llama)
    first = save_adapter(tiny_llama, tmp_path / "a", 1)
    one = load(tiny_llama, adapter=first)
    two = load(tiny_llama, adapter=save_adapter(tiny_llama, tmp_path / "b", 2))
    again = load(tiny_llama, adapter=shutil.copytree(first, tmp_path / "copy"))
    assert len({base.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert one.fingerprint == again.fingerprint
    texts = [engine.generate_batch([JOB])[0].tokens for engine in (base, one, two, again)]
    assert len(set(texts)) == 3
    assert texts[1] == texts[3]
    # Strength is configuration, not weights.
    config = json.loads((tmp_path / "copy" / "adapter_config.json").read_text())
    (tmp_path / "copy" / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 1}))
    assert load(tiny_llama, adapter=tmp_path / "copy").fingerprint != one.fingerprint


def test_an_adapter_is_loaded_without_the_libraries_talk_of_their_future(tiny_llama: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tiny_llama, tmp_path / "a", 1)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load(tiny_llama, adapter=adapter)
    assert not [each for each in said if issubclass(each.category, FutureWarning)]


def test_switching_an_adapter_off_in_memory_changes_the_fingerprint(tiny_llama: Path, tmp_path: Path) -> None:
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_llama), LoraConfig(target_modules=["q_proj"]))
    engine = TransformersEngine(adapted, AutoTokenizer.from_pretrained(tiny_llama))
    before = engine.fingerprint
    with adapted.disable_adapter():
        assert engine.fingerprint != before
    assert engine.fingerprint == before
    assert len(engine.generate_batch([JOB])[0].tokens) == 16


def test_an_adapter_of_another_model(tiny_llama: Path, tiny_qwen2: Path, tmp_path: Path) -> None:
    adapter = save_adapter(tiny_qwen2, tmp_path / "qwen", 1)
    with pytest.raises(ModelError, match="does not fit this model"):
        load(tiny_llama, adapter=adapter)


def test_an_adapter_of_a_deeper_model(tiny_llama: Path, tmp_path: Path) -> None:
    """PEFT would load this one without a word and leave the rest out."""
    values = json.loads((tiny_llama / "config.json").read_text())
    model = AutoModelForCausalLM.from_config(
        AutoModelForCausalLM.from_pretrained(tiny_llama).config.__class__(**{**values, "num_hidden_layers": 5})
    )
    get_peft_model(model, LoraConfig(target_modules=["q_proj"])).save_pretrained(tmp_path / "deep")
    with pytest.raises(ModelError, match="trained on another model"):
        load(tiny_llama, adapter=tmp_path / "deep")


def test_an_adapter_that_is_not_one(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no adapter folder"):
        load(tiny_llama, adapter=tmp_path / "nothing" / "here")
    with pytest.raises(ModelError, match=r"without adapter_config\.json"):
        load(tiny_llama, adapter=tiny_llama)
    tuned = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tiny_llama), PromptTuningConfig("CAUSAL_LM", num_virtual_tokens=2)
    )
    tuned.save_pretrained(tmp_path / "prompt")
    with pytest.raises(ModelError, match="only adapters of weights"):
        load(tiny_llama, adapter=tmp_path / "prompt")


def test_sources_that_are_no_model(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder at"):
        load(tmp_path / "nothing" / "here")
    with pytest.raises(ModelError, match=r"folder without config\.json"):
        load(tmp_path)
    with pytest.raises(ModelError, match="is a file"):
        load(tiny_llama / "config.json")


def test_a_broken_model_folder(tiny_llama: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_llama, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(broken)
    (broken / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot be loaded"):
        load(broken)


def test_missing_weights_are_an_error_and_not_random_numbers(tiny_llama: Path, tmp_path: Path) -> None:
    partial = tmp_path / "partial"
    shutil.copytree(tiny_llama, partial)
    model = AutoModelForCausalLM.from_pretrained(tiny_llama)
    state = {name: tensor for name, tensor in model.state_dict().items() if "layers.1.mlp.up_proj" not in name}
    model.save_pretrained(partial, state_dict=state)
    with pytest.raises(ModelError, match=r"lacks 1 .*layers\.1\.mlp\.up_proj"):
        load(partial)


def test_a_base_model_without_a_chat_template(tiny_llama: Path, tmp_path: Path) -> None:
    base = shutil.copytree(tiny_llama, tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match="no chat template"):
        load(base)


def test_a_hub_id_while_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="the Hugging Face Hub cannot be reached"):
        load(Path("someone/some-model"))


def test_precision_and_device_by_name() -> None:
    cpu = choose_device("cpu")
    assert choose_dtype("float64", cpu) is torch.float64
    assert choose_dtype("auto", cpu) in (torch.float32, torch.bfloat16)
    for wrong in ("int8", "float", "nonsense", "nn"):
        if wrong == "float":
            assert choose_dtype(wrong, cpu) is torch.float32
            continue
        with pytest.raises(ModelError, match="is not one of"):
            choose_dtype(wrong, cpu)
    with pytest.raises(ModelError, match="cannot be used here"):
        choose_device("nonsense")


def test_bfloat16_generates_and_scores(tiny_llama: Path) -> None:
    engine = load(tiny_llama, dtype="bfloat16")
    completion = engine.generate_batch([JOB, JOB])[1]
    assert len(completion.tokens) == len(completion.logprobs) == 16
    assert engine.score([(JOB.conversation, "Sure!")])[0].total < 0
