"""Layers, attention and MLP are found without knowing the family."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoConfig, AutoModelForCausalLM

from personaproof.core import ModelError
from personaproof.directions import anatomy
from personaproof.engines import TransformersEngine

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize(
    ("family", "attention"),
    [("gpt_neox", "attention"), ("falcon", "self_attention"), ("mixtral", "self_attn"), ("gpt2", "attn")],
)
def test_families_of_other_shapes(family: str, attention: str) -> None:
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 64} if family == "gpt2" else {**SMALL, **HEADS}
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **sizes))
    parts = anatomy(model)
    assert (parts.depth, parts.width) == (2, 32)
    for block in parts.blocks:
        assert block.writers == (getattr(block.module, attention), block.module.mlp)


def test_a_layer_of_loose_matrices_can_be_steered_but_not_ablated() -> None:
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("opt", **SMALL, ffn_dim=64, num_attention_heads=4))
    parts = anatomy(model)
    assert parts.depth == 2
    with pytest.raises(ModelError, match="fc1, fc2"):
        parts.writers()


def test_engine_model_and_peft_model_are_the_same_inside(llama: TransformersEngine) -> None:
    config = AutoConfig.for_model("llama", **SMALL, **HEADS)
    model = AutoModelForCausalLM.from_config(config)
    bare = anatomy(model).blocks
    wrapped = get_peft_model(model, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    assert [b.module for b in anatomy(wrapped).blocks] == [b.module for b in bare]
    assert len(anatomy(wrapped).writers()) == 4
    assert anatomy(llama).model is llama.model


def test_errors_say_what_is_wrong(llama: TransformersEngine) -> None:
    with pytest.raises(ModelError, match="gives none"):
        anatomy(SimpleNamespace(name="openai:gpt"))
    with pytest.raises(ModelError, match="not a Hugging Face"):
        anatomy(torch.nn.Linear(2, 2))
    with pytest.raises(ModelError, match="0 to 2"):
        anatomy(llama).check_layer(3)
