"""Where things are inside a decoder-only model, found by its structure, with no rule for any family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from personaproof.core import ModelError


@dataclass(frozen=True)
class Block:
    """One decoder layer. `writers` are its attention and its MLP (dense or a mixture of experts), in that order: the
    two modules whose outputs are added to the residual stream."""

    module: nn.Module
    writers: tuple[nn.Module, nn.Module] | None
    children: tuple[str, ...]
    """Names of the children that hold matrices, for an error that says what was found."""


@dataclass(frozen=True)
class Anatomy:
    """The causal language model itself (out of any engine or PEFT wrapper), its decoder and the decoder's layers."""

    model: Any
    decoder: nn.Module
    blocks: tuple[Block, ...]
    width: int
    architecture: str

    @property
    def depth(self) -> int:
        return len(self.blocks)

    def writers(self) -> list[nn.Module]:
        """Every attention and MLP module. Raises ModelError where a layer is not made of just these two."""
        found: list[nn.Module] = []
        for number, block in enumerate(self.blocks):
            if block.writers is None:
                raise ModelError(
                    f"layer {number} of this {self.architecture} model is made of {', '.join(block.children)}, so its "
                    "attention and MLP outputs cannot be told apart and a direction cannot be ablated there; "
                    "use interventions at block inputs (steer, floor, cap)."
                )
            found += block.writers
        return found

    def check_layer(self, layer: int) -> int:
        """`layer` itself. Raises ModelError where there is no such layer."""
        if not 0 <= layer < self.depth:
            raise ModelError(f"there is no layer {layer}: this model's layers are 0 to {self.depth - 1}.")
        return layer


def anatomy(model: Any) -> Anatomy:
    """Look inside an engine, a Hugging Face causal language model or a PEFT model.

    The layers are the one list of modules directly under the decoder that is as long as the configuration says and
    whose members are made of several parts with matrices.

    Raises ModelError for a remote engine, and where the layers cannot be found or are not the only candidates.
    """
    if isinstance(model, nn.Module):
        causal: Any = model
    else:
        causal = getattr(model, "model", None)
        if not isinstance(causal, nn.Module):
            raise ModelError(
                f"directions need a model's weights on this machine, and {getattr(model, 'name', model)!r} gives none; "
                "name a local folder or a Hub id."
            )
    if hasattr(causal, "get_base_model"):
        causal = causal.get_base_model()
    if not hasattr(causal, "get_decoder") or not hasattr(causal, "config"):
        raise ModelError(f"{type(causal).__name__} is not a Hugging Face language model with a decoder.")
    config = causal.config.get_text_config()
    decoder = causal.get_decoder()
    depth = int(config.num_hidden_layers)
    lists = {
        name: child
        for name, child in decoder.named_children()
        if isinstance(child, nn.ModuleList) and len(child) == depth and len(_with_matrices(child[0])) > 1
    }
    if len(lists) != 1:
        found = ", ".join(lists) if lists else "none"
        raise ModelError(
            f"the decoder of {type(causal).__name__} should hold one list of {depth} layers; found {found}. "
            "Its activations cannot be read or changed here."
        )
    layers = next(iter(lists.values()))
    blocks = tuple(_block(layer) for layer in layers)
    return Anatomy(causal, decoder, blocks, int(config.hidden_size), str(config.model_type))


def _block(layer: nn.Module) -> Block:
    parts = _with_matrices(layer)
    writers = None
    if len(parts) == 2:
        # The order of definition is not that of use everywhere; the attention is the one that is called so.
        (first, one), (second, other) = parts.items()
        writers = (other, one) if _mixes_positions(second) and not _mixes_positions(first) else (one, other)
    return Block(layer, writers, tuple(parts))


def _with_matrices(layer: nn.Module) -> dict[str, nn.Module]:
    """Children with parameters of two or more dimensions: not norms, dropouts or activations."""
    return {name: child for name, child in layer.named_children() if any(p.ndim > 1 for p in child.parameters())}


def _mixes_positions(name: str) -> bool:
    return "attn" in name or "attention" in name
