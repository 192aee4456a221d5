"""Engines turn conversations into completions: `transformers` on this machine, `openai` on any compatible server."""

from __future__ import annotations

from pathlib import Path

from personaproof.core import Engine, ModelError
from personaproof.engines._loading import widest_float
from personaproof.engines._prompts import Prompts
from personaproof.engines.openai import OpenAIEngine
from personaproof.engines.transformers import BATCH_SIZE, BATCH_TOKENS, TransformersEngine

__all__ = [
    "BATCH_SIZE",
    "BATCH_TOKENS",
    "OpenAIEngine",
    "Prompts",
    "TransformersEngine",
    "load_engine",
    "widest_float",
]

REMOTE = "openai:"


def load_engine(
    spec: str | Path,
    *,
    adapter: str | Path | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    revision: str | None = None,
    chat_template: str | None = None,
    dtype: str = "auto",
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    batch_tokens: int = BATCH_TOKENS,
    trust_remote_code: bool = False,
) -> Engine:
    """The engine for a MODEL argument: `openai:NAME` is a server's model, anything else a local folder or a Hub id.

    `chat_template` takes the place of the model's own: some classifiers are published with their prompt as raw text.
    A server applies its template itself, so there it is only checked that it lets such a prompt through.

    Raises ModelError where it cannot be had, or an option does not apply to its kind.
    """
    name = str(spec)
    if name.startswith(REMOTE):
        if adapter is not None:
            raise ModelError(f"an adapter cannot be put on {name!r}; let the server load it, and name it there.")
        if name == REMOTE:
            raise ModelError("openai: needs the model's name after the colon, as the server knows it.")
        return OpenAIEngine(name.removeprefix(REMOTE), base_url, api_key, chat_template=chat_template)
    if base_url is not None:
        raise ModelError(f"--base-url goes with openai:NAME; to ask that server, write openai:{name}.")
    return TransformersEngine.load(
        name,
        adapter=adapter,
        revision=revision,
        chat_template=chat_template,
        dtype=dtype,
        device=device,
        batch_size=batch_size,
        batch_tokens=batch_tokens,
        trust_remote_code=trust_remote_code,
    )
