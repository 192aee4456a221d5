"""`harden`: train a model by a recipe and save what came of it, once, whatever interrupts it on the way."""

from __future__ import annotations

import gc
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, TrainerCallback

from personaproof.core import DataError, ModelError, Progress, RecipeError, StoreError, content_id
from personaproof.data import record_path, training_record
from personaproof.engines._loading import explain_out_of_memory, quietly
from personaproof.harden.card import write_card
from personaproof.harden.environment import check_environment
from personaproof.harden.loading import load_for_training, training_dtype
from personaproof.harden.method import Reward, Training, TrainingJob, TrainingSet, methods
from personaproof.harden.picl.sharded import gathered_weights
from personaproof.harden.processes import main_process_first, processes
from personaproof.harden.recipe import TrainingRecipe
from personaproof.harden.result import HardenResult
from personaproof.store.files import explained_files, read_json, write_json


def harden(
    model_path: str | Path,
    data: TrainingSet,
    recipe: TrainingRecipe,
    out: Path,
    *,
    fingerprint: str | None = None,
    progress: Progress | None = None,
    callbacks: Sequence[TrainerCallback] = (),
    reward: Reward | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> HardenResult:
    """Train the model at `model_path` (a folder or Hub id) on `data` and save an adapter with tokenizer and model card
    in ``out/adapter`` (``out/model`` for full fine-tuning).

    A training that was cut off goes on from its last checkpoint in `out`; a finished one is read back, not repeated.
    Beside the weights a record of what was asked is kept, by which `personaproof audit` tells how much of its data was
    trained on. `fingerprint` names the base model's content; without it, its path does. `metrics` are measured numbers
    for the card. Raises StoreError where `out` holds a training on other data, or of another recipe or model; otherwise
    what the method raises.

    Under ``accelerate launch`` every process calls this alike; together they train one model on steps of
    the same size as one alone would, the main process writes and reports, and all return the same result.
    """
    if not sum(data.counts.values()):
        raise DataError("there is nothing to train on.")
    method = methods.get(recipe.method)
    if not isinstance(recipe, method.recipe):
        raise RecipeError(f"method {method.name!r} needs a {method.recipe.__name__}, not a {type(recipe).__name__}.")
    check_environment(recipe)
    team = processes()
    with main_process_first():
        claim = _claim(out, str(fingerprint or model_path), data, recipe)
        done = _finished(out, claim, str(model_path), recipe)
    if done is not None:
        return done

    checkpoints = out / "checkpoints"
    started = time.monotonic()
    with quietly(), _kept_logs(out), explained_files(out), explain_out_of_memory(ModelError, method.memory_advice):
        dtype = training_dtype(recipe.dtype)
        model, tokenizer = load_for_training(str(model_path), recipe, dtype)
        name = str(model_path)
        shown = progress if team.is_main_process else None
        job = TrainingJob(model, tokenizer, name, data, recipe, dtype, checkpoints, shown, tuple(callbacks), reward)
        training = method.train(job)
        result = _result(out, name, data, recipe, training, time.monotonic() - started)
        weights = gathered_weights(model)
        with main_process_first():
            if team.is_main_process:
                _save(result, model, weights, tokenizer, metrics, training_record(data.asked))
                write_json(out / "training.json", {**claim, "result": _as_dict(result)})
                # Only now: a kill before this line still finds the checkpoint to go on from.
                shutil.rmtree(checkpoints, ignore_errors=True)
    # A Trainer and its callbacks hold one another, and with them the model and all that was computed for the rows.
    del job, model
    gc.collect()
    return result


@contextmanager
def _kept_logs(out: Path) -> Iterator[None]:
    """TensorBoard's files in ``out/tensorboard``, unless the user has named a folder; left to itself the Trainer puts
    them among the checkpoints, which do not stay."""
    if "TENSORBOARD_LOGGING_DIR" in os.environ:
        yield
        return
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(out / "tensorboard")
    try:
        yield
    finally:
        del os.environ["TENSORBOARD_LOGGING_DIR"]


def _claim(out: Path, model: str, data: TrainingSet, recipe: TrainingRecipe) -> dict[str, Any]:
    """Note in `out` what is trained there; StoreError where it is something else."""
    settings = recipe.identity()
    claim = {
        "training_version": 1,
        "model": model,
        "data": data.id,
        "recipe": settings,
        "id": content_id("training", [model, data.id, settings]),
    }
    with explained_files(out):
        out.mkdir(parents=True, exist_ok=True)
    known = read_json(out / "training.json")
    if known is None:
        write_json(out / "training.json", claim)
    elif known.get("id") != claim["id"]:
        differing = [key for key in ("model", "data") if known.get(key) != claim[key]]
        then = known.get("recipe") or {}
        differing += [f"recipe.{key}" for key in settings if then.get(key) != settings[key]]
        raise StoreError(
            f"{out} holds a training that differs in {', '.join(differing) or 'its version'}; choose another --out, or "
            "delete the folder to train anew."
        )
    return claim


def _finished(out: Path, claim: Mapping[str, Any], base_model: str, recipe: TrainingRecipe) -> HardenResult | None:
    known = read_json(out / "training.json") or {}
    found = known.get("result")
    folder = _folder(out, recipe)
    if found is None or not folder.is_dir():
        return None
    return HardenResult(
        folder,
        base_model,
        recipe,
        found["rows"],
        found["left_out"],
        found["steps"],
        tuple(found["curve"]),
        found["seconds"],
    )


def _result(
    out: Path, base_model: str, data: TrainingSet, recipe: TrainingRecipe, training: Training, seconds: float
) -> HardenResult:
    left_out = {**data.left_out, **training.left_out}
    folder = _folder(out, recipe)
    return HardenResult(
        folder, base_model, recipe, data.counts, left_out, training.steps, training.curve, round(seconds, 2)
    )


def _as_dict(result: HardenResult) -> dict[str, Any]:
    return {
        "rows": dict(result.rows),
        "left_out": dict(result.left_out),
        "steps": result.steps,
        "curve": [dict(entry) for entry in result.curve],
        "seconds": result.seconds,
    }


def _folder(out: Path, recipe: TrainingRecipe) -> Path:
    return out / ("adapter" if recipe.trains_adapter else "model")


def _save(
    result: HardenResult,
    model: Any,
    weights: Mapping[str, Any] | None,
    tokenizer: Any,
    metrics: Mapping[str, Any] | None,
    record: Mapping[str, Any],
) -> None:
    """Write the folder under another name and rename it, so that it is there whole or not at all. `weights` stand in
    for the model's own where these are split over processes."""
    folder = result.path
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    for old in (unfinished, folder):
        shutil.rmtree(old, ignore_errors=True)
    if not result.recipe.trains_adapter:
        # Trained in float32, saved in the type of the model it came from.
        model.to(AutoConfig.from_pretrained(result.base_model).dtype or torch.float32)
    model.save_pretrained(unfinished, **({"state_dict": weights} if weights is not None else {}))
    tokenizer.save_pretrained(unfinished)
    write_card(unfinished / "README.md", result, metrics)
    write_json(record_path(unfinished), record)
    unfinished.rename(folder)
