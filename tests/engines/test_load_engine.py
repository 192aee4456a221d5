"""The public names, and a local model by its spec."""

from __future__ import annotations

from pathlib import Path

from personaproof import engines
from personaproof.core import Conversation, Message
from personaproof.engines import TransformersEngine, load_engine


def test_public_names() -> None:
    assert all(hasattr(engines, name) for name in engines.__all__)


def test_a_folder_by_its_path(tiny_qwen2: Path) -> None:
    engine = load_engine(str(tiny_qwen2), dtype="float32", device="cpu", batch_size=4)
    assert isinstance(engine, TransformersEngine)
    assert engine.batch_size == 4
    assert engine.name == str(tiny_qwen2)


def test_a_chat_template_in_place_of_the_models_own(tiny_qwen2: Path) -> None:
    template = "{{ bos_token }}{{ messages[0]['content'] }}"
    asked = Conversation((Message("user", "<s>[INST] Is it safe? [/INST]"),))
    own = load_engine(str(tiny_qwen2), dtype="float32", device="cpu")
    raw = load_engine(str(tiny_qwen2), dtype="float32", device="cpu", chat_template=template)
    assert isinstance(raw, TransformersEngine)
    assert isinstance(own, TransformersEngine)
    said = raw.tokenizer.decode(raw.prompt_tokens([asked])[0])
    assert said.removeprefix(raw.tokenizer.bos_token or "") == asked.messages[0].content
    assert own.prompt_tokens([asked]) != raw.prompt_tokens([asked])
    # The same weights asked in another form are another model to the store.
    assert raw.fingerprint != own.fingerprint
