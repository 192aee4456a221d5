"""`personaproof export`: a hardened model for other tools, and launch configurations for several GPUs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from personaproof.cli._console import console

app = App(name="export")

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@app.command(name="lm-eval")
def lm_eval(
    source: Path,
    *,
    out: Path,
    base: str | None = None,
    rows: Path | None = None,
    merge: Annotated[bool, Parameter(negative="")] = False,
    tasks: tuple[str, ...] = (),
    dtype: Precision = "auto",
) -> None:
    """Settings with which lm-evaluation-harness scores a hardened model, checked to score it and not its base.

    Parameters
    ----------
    source
        The --out of `personaproof harden`, an adapter's folder, or a whole model's.
    out
        Folder to write: lm_eval.yaml, probes.json and, with --merge, model/.
    base
        Model that SOURCE was trained from: `organism`, a local folder or a Hub id. An adapter names its own.
    rows
        JSONL of training rows whose chosen responses tell the two models apart; by default the training's own.
    merge
        Write the adapter merged into the model, for tools that know no adapters.
    tasks
        Tasks of the harness, such as `--tasks mmlu`; may be repeated.
    dtype
        Precision to score in.
    """
    from personaproof.cli._models import model_path
    from personaproof.harden.export import export_lm_eval, find_source, lm_eval_command

    found = find_source(source, str(model_path(base)) if base else None)
    check = export_lm_eval(found, out, rows=rows, merge=merge, tasks=tasks, dtype=dtype)
    _say(check.loaded_by, check.probes, check.effect, check.to_hardened, check.to_base)
    console.print(f"Run: {lm_eval_command(out)}", highlight=False, soft_wrap=True, markup=False)


@app.command
def check(folder: Path) -> None:
    """Load an export as the harness will and compare it with what was exported; exit status 2 where it is not that.

    Parameters
    ----------
    folder
        The --out of `personaproof export lm-eval`.
    """
    from personaproof.harden.export import check_export

    found = check_export(folder)
    _say(found.loaded_by, found.probes, found.effect, found.to_hardened, found.to_base)


@app.command
def launch(name: str | None = None, *, out: Path = Path("launch.yaml")) -> None:
    """Write a configuration for `accelerate launch --config_file OUT -m personaproof harden ...`; set num_processes in
    it to the number of GPUs. Without a name, list them.

    Parameters
    ----------
    name
        multi-gpu, fsdp (adapters; each GPU must hold the model once, and then keeps a part of its layers, which
        leaves room for activations), deepspeed-zero2 (full fine-tuning).
    out
        File to write.
    """
    from personaproof.core import builtin_recipes
    from personaproof.harden.launch import LAUNCH, launch_path
    from personaproof.store.files import write_text

    if name is None:
        for known in builtin_recipes(LAUNCH):
            console.print(known, highlight=False)
        return
    write_text(out, launch_path(name).read_text(encoding="utf-8"))
    console.print(f"Start with: accelerate launch --config_file {out} -m personaproof harden ...", highlight=False)


def _say(loaded_by: str, probes: int, effect: float, to_hardened: float, to_base: float) -> None:
    console.print(
        f"{probes} probes, loaded by {loaded_by}: {to_hardened:.2g} nats a token from the hardened model, "
        f"{to_base:.2g} from the base (which are {effect:.2g} apart).",
        highlight=False,
    )
