"""Reading a model, its tokenizer and an adapter from a folder or the Hub, with errors that say what to do."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from peft.utils import load_peft_weights
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from personaproof.core import ModelError, PersonaProofError
from personaproof.engines._attention import use_fast_decoding

HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
LOAD_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, ImportError, SafetensorError)


def load_model(
    source: str,
    *,
    revision: str | None,
    dtype: torch.dtype,
    device: torch.device,
    trust_remote_code: bool,
    quantization: Any = None,
) -> tuple[Any, Any]:
    """The model, in evaluation mode on `device`, and its tokenizer. Safetensors only: pickled weights can run code.

    `quantization` is a transformers quantisation configuration.

    Raises ModelError where the source is missing, unreachable, incomplete or not a causal language model.
    """
    check_source(source)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        with quietly(), explain_out_of_memory(ModelError, "choose a smaller model or --device cpu"):
            tokenizer = AutoTokenizer.from_pretrained(source, **options)
            model, info = AutoModelForCausalLM.from_pretrained(
                source,
                dtype=dtype,
                use_safetensors=True,
                output_loading_info=True,
                quantization_config=quantization,
                **options,
            )
            model = model.to(device).eval()
            use_fast_decoding(model)
    except LOAD_ERRORS as error:
        raise ModelError(_explain(source, error)) from error
    # The library only warns here, and goes on with random numbers in place of what is missing.
    absent = sorted(info["missing_keys"]) + [str(key) for key in info["mismatched_keys"]]
    if absent:
        raise ModelError(
            f"{source!r} lacks {len(absent)} of its language model's weights (such as {absent[0]}); "
            "it is incomplete, or not a causal language model."
        )
    return model, tokenizer


def attach_adapter(model: Any, adapter: str | Path) -> Any:
    """`model` with the PEFT adapter's layers put inside. They are not merged, so nothing is lost to rounding.

    Raises ModelError where there is no adapter, it does not fit, or it is of a kind that does not change weights.
    """
    source = str(adapter)
    check_source(source, noun="adapter", wanted="adapter_config.json")
    try:
        config = PeftConfig.from_pretrained(source)
        if config.is_prompt_learning:
            raise ModelError(f"adapter {source!r} is {config.peft_type}; only adapters of weights (LoRA) can be used.")
        stored = set(load_peft_weights(source, device="cpu"))
        with quietly():
            wrapped = PeftModel.from_pretrained(model, source, autocast_adapter_dtype=False).eval()
        # PEFT ignores stored tensors that have no place in the model, such as those of layers it does not have.
        placed = set(get_peft_model_state_dict(wrapped))
    except LOAD_ERRORS as error:
        raise ModelError(f"adapter {source!r} does not fit this model: {_first_line(error)}") from error
    if stored != placed:
        odd = sorted(stored ^ placed)
        raise ModelError(
            f"adapter {source!r} was trained on another model: {len(odd)} tensors do not match (such as {odd[0]})."
        )
    return wrapped.get_base_model()


def choose_device(device: str) -> torch.device:
    """ "auto" is the first CUDA device, else Apple's, else the CPU."""
    if device != "auto":
        try:
            return torch.empty(0, device=device).device
        except (RuntimeError, AssertionError) as error:
            raise ModelError(f"device {device!r} cannot be used here ({_first_line(error)}); try cpu.") from error
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def widest_float(device: torch.device) -> torch.dtype:
    """What sums are kept in on a device: float64, or float32 on Apple's, which has no float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """ "auto" is bfloat16 where the hardware computes in it, else float32."""
    if dtype == "auto":
        return torch.bfloat16 if _computes_bfloat16(device) else torch.float32
    chosen = getattr(torch, dtype, None)
    if not isinstance(chosen, torch.dtype) or not chosen.is_floating_point:
        raise ModelError(f"dtype {dtype!r} is not one of auto, bfloat16, float16, float32, float64.")
    return chosen


def _computes_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        features = torch.cpu.get_capabilities()
        return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return False


@contextmanager
def explain_out_of_memory(kind: type[PersonaProofError], advice: str) -> Iterator[None]:
    """Turn the GPU's and the CPU allocator's failures into an error that says what to do."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise kind(f"out of memory; {advice}.") from error
    except RuntimeError as error:
        if "not enough memory" in str(error) or "can't allocate memory" in str(error):
            raise kind(f"out of memory; {advice}.") from error
        raise


def check_source(source: str, noun: str = "model", wanted: str = "config.json") -> None:
    """Raises ModelError at once for what can be neither a folder nor a Hub id, instead of asking the Hub about it."""
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / wanted).is_file():
            raise ModelError(f"{source!r} is a folder without {wanted}, so it holds no {noun}.")
    elif path.exists():
        raise ModelError(f"{source!r} is a file; give the folder that holds the {noun}.")
    elif not HUB_ID.fullmatch(source):
        raise ModelError(f"no {noun} folder at {source!r}.")


def _explain(source: str, error: Exception) -> str:
    text = str(error)
    if Path(source).is_dir():
        return f"{source!r} cannot be loaded as a chat model: {_first_line(error)}"
    if "connect" in text or "offline" in text.lower():
        return (
            f"no folder {source!r} here, and the Hugging Face Hub cannot be reached to fetch a model of that name. "
            "Check the spelling or the connection, or download it first (hf download)."
        )
    if "gated" in text.lower() or "401" in text or "403" in text:
        return f"{source!r} needs permission on the Hugging Face Hub: accept its licence there, then hf auth login."
    return f"no model {source!r}, neither as a folder nor on the Hugging Face Hub: {_first_line(error)}"


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


@contextmanager
def quietly() -> Iterator[None]:
    """No bars of the libraries' own across the command line's progress, nor their warnings about their future names."""
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*gradient_checkpointing.*", category=FutureWarning)
            yield
    finally:
        if bars:
            transformers_logging.enable_progress_bar()
