"""Export to the control-vector files of llama.cpp, for serving a steered model there.

Format, from llama.cpp (common_control_vector_load, llama_adapter_cvec, tools/cvector-generator): a GGUF file of
architecture "controlvector" with `controlvector.model_hint`, `controlvector.layer_count` (how many directions) and one
float32 tensor `direction.N` a layer. N counts blocks from 0 and the vector is added to what block N puts out, which is
what block N + 1 takes in; block 0 has none. Served with ``--control-vector-scaled FILE:ALPHA``.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from personaproof.core import ModelError, StoreError
from personaproof.directions.direction import Direction

FIRST_LAYER = 2
"""The input of block 2 is the output of block 1, the first that llama.cpp can add to."""


def export_gguf(directions: Sequence[Direction], path: str | Path, *, model_hint: str | None = None) -> Path:
    """Write raw vectors (dose 1), one a layer, to `path`. `model_hint` is llama.cpp's name of the architecture, by
    default ours of it; llama.cpp only shows it.

    Raises ModelError where the directions are of several models, two are of one layer or one is of layer 0 or 1, and
    where the gguf package is missing; StoreError where the file cannot be written.
    """
    if not directions:
        raise ModelError("there is no direction to export.")
    if len({(d.fingerprint, len(d.vector)) for d in directions}) > 1:
        raise ModelError("the directions are of different models; a control vector belongs to one.")
    layers = [d.layer for d in directions]
    if len(set(layers)) < len(layers):
        raise ModelError(f"there are several directions of one layer ({sorted(layers)}); a file holds one a layer.")
    if min(layers) < FIRST_LAYER:
        raise ModelError(
            f"llama.cpp adds control vectors to the output of block 1 and later, so a direction at the input of block "
            f"{min(layers)} cannot be exported; take one of layer {FIRST_LAYER} or later."
        )
    target = Path(path)
    temporary = target.with_name(f".{target.name}.tmp")
    # The sizes of all tensors stand before them, so the file is opened only when everything is known.
    writer = _writer_class()(str(temporary), "controlvector")
    writer.add_string("controlvector.model_hint", model_hint or directions[0].architecture.removesuffix("_text"))
    writer.add_int32("controlvector.layer_count", len(directions))
    for direction in sorted(directions, key=lambda d: d.layer):
        writer.add_tensor(f"direction.{direction.layer - 1}", direction.vector.detach().cpu().numpy())
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        temporary.replace(target)
    except OSError as error:
        raise StoreError(f"{target} cannot be written ({error.strerror or error}); choose another path.") from error
    return target


def _writer_class() -> Any:
    try:
        return import_module("gguf").GGUFWriter
    except ImportError:
        raise ModelError("exporting to llama.cpp needs the gguf package: pip install gguf.") from None
