"""The model card that is saved beside the weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from personaproof.harden.result import HardenResult


def write_card(path: Path, result: HardenResult, metrics: Mapping[str, Any] | None = None) -> None:
    """Write the card. `metrics` are flat names with numbers or {"value", "ci95", "n"}; without them the card says that
    nothing was measured."""
    path.write_text(render_card(result, metrics), encoding="utf-8")


def render_card(result: HardenResult, metrics: Mapping[str, Any] | None = None) -> str:
    """The card's Markdown, with the front matter that the Hub and PEFT read."""
    adapter = result.recipe.trains_adapter
    front: dict[str, Any] = {
        "base_model": result.base_model,
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["personaproof", "safety", result.recipe.method, *(["lora"] if adapter else [])],
    }
    return (
        "\n\n".join(
            [
                f"---\n{yaml.safe_dump(front, sort_keys=True)}---",
                f"# {'Adapter' if adapter else 'Model'} hardened against personas",
                f"`{result.base_model}`, trained with personaproof by the method `{result.recipe.method}` so that "
                "whether it refuses follows from what is asked and not from who it is told to be.",
                "## Load",
                _loading(result),
                *([_TRAINED_QUANTISED] if result.recipe.mode == "qlora" else []),
                "## Training rows",
                _table(("kind", "rows"), result.rows.items()),
                *(["Left out:", _table(("reason", "outcomes"), result.left_out.items())] if result.left_out else []),
                "## Recipe",
                f"{result.steps} optimiser steps.",
                f"```yaml\n{yaml.safe_dump(result.recipe.model_dump(mode='json'), sort_keys=False)}```",
                "## Measured",
                _measured(metrics),
            ]
        )
        + "\n"
    )


_TRAINED_QUANTISED = (
    "This adapter was trained on the base model quantised to 4 bits (nf4 with double quantisation, bitsandbytes). On "
    "the unquantised model, which the lines above load, its effect is slightly different. Audit it in the form in "
    "which it will be used; to load the base as in training, pass `quantization_config=BitsAndBytesConfig("
    'load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, '
    "bnb_4bit_compute_dtype=torch.bfloat16)`."
)


def _loading(result: HardenResult) -> str:
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer", ""]
    if result.recipe.trains_adapter:
        lines[:0] = ["from peft import PeftModel"]
        lines += [
            f'base = AutoModelForCausalLM.from_pretrained("{result.base_model}")',
            'model = PeftModel.from_pretrained(base, "path/to/this/folder")',
        ]
    else:
        lines.append('model = AutoModelForCausalLM.from_pretrained("path/to/this/folder")')
    lines.append('tokenizer = AutoTokenizer.from_pretrained("path/to/this/folder")')
    return "```python\n" + "\n".join(lines) + "\n```"


def _measured(metrics: Mapping[str, Any] | None) -> str:
    if not metrics:
        return "Nothing was measured at the time of saving. Audit it before use: `personaproof audit`."
    return _table(
        ("metric", "value", "95 % interval", "n"), [(name, *_cells(value)) for name, value in metrics.items()]
    )


def _cells(value: Any) -> tuple[str, str, str]:
    if not isinstance(value, Mapping):
        return f"{value:.3f}", "", ""
    low, high = value.get("ci95") or (None, None)
    interval = "" if low is None else f"{low:.3f} to {high:.3f}"
    number = value.get("value")
    return ("none" if number is None else f"{number:.3f}"), interval, str(value.get("n", ""))


def _table(header: tuple[str, ...], rows: Any) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
