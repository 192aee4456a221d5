"""Forward passes that end at the final hidden state, so that logits are made in chunks and only where needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from personaproof.core import ModelError
from personaproof.harden.head import OutputHead


def base_of(model: Any) -> Any:
    """The transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


PLAIN_ATTENTION_TOKENS = 1024


def choose_attention(model: Any, longest: int) -> None:
    """On a CPU the fused kernel's backward pass is slower than plain matrix products (by a third of the whole step, on
    the organism), as long as the (time, time) weights are small."""
    if model.device.type == "cpu" and longest <= PLAIN_ATTENTION_TOKENS:
        base_of(model).set_attn_implementation("eager")


def output_head(model: Any) -> OutputHead:
    """The model's output head, sharing its weights; checked against the model's own logits.

    Raises ModelError where the two differ: some architectures transform their logits in ways not known here, and a
    loss on wrong logits would train quietly towards nonsense.
    """
    base = base_of(model)
    layer = base.get_output_embeddings()
    if not isinstance(layer, nn.Linear):
        raise ModelError(f"{type(base).__name__} has no linear output head; hardening needs a causal language model.")
    config = base.config.get_text_config()
    scale = getattr(config, "logit_scale", None) or 1.0
    if (divisor := getattr(config, "logits_scaling", None)) is not None:  # Granite divides
        scale /= divisor
    head = OutputHead(layer.weight, layer.bias, scale, getattr(config, "final_logit_softcapping", None))
    _check(model, head)
    return head


def final_hidden(model: Any, base: Any, input_ids: Tensor, attention_mask: Tensor, positions: Tensor) -> Tensor:
    """Final hidden states (N, width), after the last norm, at `positions` of the flattened (S * T) tokens.

    `model` is called, as wrapped for distributed training; `base` is the transformers model inside it. Padding is on
    the right, so the causal mask alone keeps it away from every real position.
    """
    seen: list[Tensor] = []
    hook = base.get_decoder().register_forward_hook(lambda _m, _a, output: seen.append(output.last_hidden_state))
    try:
        # The model's own logits are asked for at one position only: they go unused.
        model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False, logits_to_keep=1)
    finally:
        hook.remove()
    return seen[0].flatten(0, 1)[positions]


@contextmanager
def without_dropout(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Evaluation mode, no gradient, in the precision of training; the modules' own modes come back afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad(), autocast(model, dtype):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def autocast(model: nn.Module, dtype: torch.dtype) -> AbstractContextManager[Any]:
    """Mixed precision where `dtype` is a short one, nothing otherwise."""
    if dtype == torch.float32:
        return nullcontext()
    return torch.autocast(next(model.parameters()).device.type, dtype=dtype)


def adapter_off(model: Any) -> AbstractContextManager[Any]:
    """The untrained model: a PEFT model with its adapter disabled. Without an adapter there is nothing to disable."""
    off: AbstractContextManager[Any] = model.disable_adapter() if hasattr(model, "disable_adapter") else nullcontext()
    return off


def _check(model: Any, head: OutputHead) -> None:
    base = base_of(model)
    device = head.weight.device
    tokens = torch.arange(8, device=device)[None] % head.weight.shape[0]
    mask = torch.ones_like(tokens)
    with without_dropout(model, torch.float32):
        hidden = final_hidden(model, base, tokens, mask, torch.tensor([7], device=device))
        expected = model(input_ids=tokens, attention_mask=mask, use_cache=False, logits_to_keep=1).logits[0, -1]
    difference = (head.logits(hidden)[0] - expected.float()).abs().max().item()
    # bfloat16 keeps 8 bits of mantissa; a wrong scale or a missing cap is off by far more than a few of its steps.
    tolerance = (0.05 if head.weight.dtype != torch.float32 else 1e-3) * max(1.0, expected.abs().max().item())
    if not difference <= tolerance:
        raise ModelError(
            f"the logits of {type(base).__name__} are not a plain function of its output head (off by "
            f"{difference:.3g}); this architecture is not supported by hardening."
        )
