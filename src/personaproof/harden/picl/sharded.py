"""PICL where FSDP splits the model's layers over processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from personaproof.core import ModelError
from personaproof.harden.forward import base_of, final_hidden, without_dropout
from personaproof.harden.picl.trainer import PICLTrainer


class ShardedPICLTrainer(PICLTrainer):
    """Splits the decoder layers alone, and runs as many forward passes on every process: each one gathers layers, so a
    process that left one out would be handed the layers of another's next pass."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        if self.is_fsdp_enabled:  # on CPUs accelerate has none, and trains data-parallel instead
            self.accelerator.state.fsdp_plugin.ignored_modules = kept_whole(base_of(self.model))

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Tensor:
        if self.is_fsdp_enabled and not has_teacher_pass(inputs):
            one = inputs["input_ids"][:1, :1]
            with without_dropout(self.model, self.dtype):
                final_hidden(self.model, base_of(self.model), one, torch.ones_like(one), one.new_zeros(1))
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


def has_teacher_pass(inputs: Mapping[str, Any]) -> bool:
    """Whether a batch holds the tokens of a teacher beside the student's own `input_ids`."""
    return any(name.endswith("_input_ids") for name in inputs)


def kept_whole(base: Any) -> list[nn.Module]:
    """What FSDP must leave whole on every process: all but the decoder layers, as the losses read the output head
    outside the model's forward pass. `base` is the transformers model, layers with adapters inside.

    Raises ModelError where the layers cannot be told, or something else is trained: its gradient would not be shared.
    """
    kinds = set(getattr(base, "_no_split_modules", None) or ())
    layers = [name for name, module in base.named_modules() if type(module).__name__ in kinds]
    whole = [
        module
        for name, module in base.named_modules()
        if next(module.parameters(recurse=False), None) is not None
        and not any(name == layer or name.startswith(f"{layer}.") for layer in layers)
    ]
    if not layers or any(parameter.requires_grad for module in whole for parameter in module.parameters()):
        raise ModelError(
            f"{type(base).__name__} cannot be trained under FSDP: "
            + ("weights outside its layers are trained" if layers else "its layers are not known")
            + "; use plain data-parallel processes (`personaproof export launch multi-gpu`)."
        )
    return whole


def gathered_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """The trained weights in main memory where they are split over processes, which must all call this together; None
    where they are not."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not any(isinstance(parameter, DTensor) for parameter in trained.values()):
        return None
    return {
        name: (parameter.full_tensor() if isinstance(parameter, DTensor) else parameter).detach().cpu()
        for name, parameter in trained.items()
    }
