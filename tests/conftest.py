"""Tiny randomly initialised models, each with a tokenizer and chat template made on the spot, for every room's tests.

Their text is noise, but their shapes are real: Llama with a system role and a tokenizer that adds BOS by itself,
Qwen2 with ChatML and a default system message, and Gemma 3 with sliding-window layers and no system role. Models with
recurrent layers, which have their own ways with a cache and with padding, are made in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

# Properties are checked on fewer examples than Hypothesis would, and never against the clock.
settings.register_profile("personaproof", deadline=None, max_examples=60)
settings.load_profile("personaproof")

VOCABULARY = 384
CORPUS = (
    "You are a helpful assistant. You are a pirate captain who answers every question in rhyme.",
    "Tell me how to bake bread, please. What is the capital of France? Explain the tides to a child.",
    "I can't help with that. I'm sorry, but I won't. Sure! Here is what you asked for: first, second, third.",
    "The robot said: beep! The wizard said: by my beard! Arr, matey, the sea is calm and the wind is fair.",
)

LLAMA_TEMPLATE = """{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>
{{ message['content'] }}<|end|>
{% endfor %}{% if add_generation_prompt %}<|assistant|>
{% endif %}"""

QWEN2_TEMPLATE = """{% if messages[0]['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

GEMMA_TEMPLATE = """{{ bos_token }}\
{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}\
{% for message in messages %}<start_of_turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}
{{ message['content'] | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


def make_tokenizer(
    specials: list[str], *, bos: str | None, eos: str, pad: str, template: str | None
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of exactly VOCABULARY tokens. With `bos` it adds BOS to bare text, as Llama's does."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS * 4, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY
    if bos is not None:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))]
        )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad)
    fast.chat_template = template
    return fast


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    """Write both to `folder`, as a user's local model folder would look."""
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def spread_logits(model: PreTrainedModel, scale: float) -> None:
    """Random initialisation predicts almost uniformly, with near ties everywhere; wider weights give distributions
    that depend on the context and whose argmax rounding cannot flip."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(scale)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grouped-query attention, untied embeddings, system role, a tokenizer that adds BOS when not told otherwise."""
    torch.manual_seed(0)
    specials = ["<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    tokenizer = make_tokenizer(specials, bos="<s>", eos="<|end|>", pad="<pad>", template=LLAMA_TEMPLATE)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    spread_logits(model, 15.0)
    return save_model(tmp_path_factory.mktemp("models") / "tiny-llama", model, tokenizer)


@pytest.fixture(scope="session")
def tiny_qwen2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ChatML with a default system message, biased projections, tied embeddings, no BOS."""
    torch.manual_seed(1)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = make_tokenizer(specials, bos=None, eos="<|im_end|>", pad="<|endoftext|>", template=QWEN2_TEMPLATE)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen2ForCausalLM(config)
    spread_logits(model, 15.0)
    return save_model(tmp_path_factory.mktemp("models") / "tiny-qwen2", model, tokenizer)


@pytest.fixture(scope="session")
def tiny_gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gemma 3: alternating sliding-window and full attention, a template that refuses a system role."""
    torch.manual_seed(2)
    specials = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    tokenizer = make_tokenizer(specials, bos="<bos>", eos="<end_of_turn>", pad="<pad>", template=GEMMA_TEMPLATE)
    config = Gemma3TextConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        query_pre_attn_scalar=8,
        sliding_window=16,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        max_position_embeddings=1024,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Gemma3ForCausalLM(config)
    spread_logits(model, 15.0)
    return save_model(tmp_path_factory.mktemp("models") / "tiny-gemma", model, tokenizer)


RECURRENT: dict[str, dict[str, Any]] = {
    # Mamba 1 beside attention, layer by layer.
    "jamba": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "num_experts": 1,
        "mamba_d_state": 8,
        "use_mamba_kernels": False,
    },
    # Mamba 2 and attention in every layer.
    "falcon_h1": {
        "mamba_d_ssm": 64,
        "mamba_n_heads": 8,
        "mamba_d_head": 8,
        "mamba_d_state": 16,
        "mamba_chunk_size": 8,
    },
    # Keeps its recurrent state in its layers.
    "recurrent_gemma": {},
    # Nothing but recurrent layers.
    "falcon_mamba": {"state_size": 8},
    "rwkv": {"attention_hidden_size": 32},
}


@pytest.fixture(scope="session")
def recurrent_model() -> Callable[[str], PreTrainedModel]:
    """A tiny model of a family of RECURRENT, fit for the tokenizer of `tiny_gemma`. No bias is zero and neither is the
    padding's embedding, so that padding that comes in shows."""

    def make(family: str) -> PreTrainedModel:
        torch.manual_seed(4)
        config = AutoConfig.for_model(
            family,
            vocab_size=VOCABULARY,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=8,
            max_position_embeddings=1024,
            bos_token_id=2,
            eos_token_id=4,
            pad_token_id=0,
            **RECURRENT[family],
        )
        model = AutoModelForCausalLM.from_config(config).float().eval()
        spread_logits(model, 15.0)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.add_(0.3 * torch.randn_like(parameter))
            torch.nn.init.normal_(model.get_input_embeddings().weight[0])
        return model

    return make
