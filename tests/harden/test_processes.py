"""Several processes train one model, started as a user starts them: `accelerate launch` on the CPU (gloo)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from personaproof.harden import Row, RowSet, harden, load_picl, write_rows
from personaproof.harden.launch import launch_path

COMMON = ("dtype=float32", "batch_rows=8", "learning_rate=0.02", "max_steps=6", "gradient_checkpointing=false")

KILLED = """
import os, signal, sys
from pathlib import Path
from transformers import TrainerCallback
from personaproof.harden import RowSet, harden, load_picl, read_rows

class Kill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 5:
            os.kill(os.getpid(), signal.SIGKILL)

model, rows, out, kill, *overrides = sys.argv[1:]
callbacks = [Kill()] if kill == "kill" else []
seen = []
result = harden(
    model, RowSet(tuple(read_rows(Path(rows)))), load_picl("picl", *overrides), Path(out),
    progress=lambda done, total: seen.append(done), callbacks=callbacks,
)
print(os.environ["RANK"], "saw", seen[:1], "of", result.steps)
"""


FSDP = """
import os, sys
import torch
from pathlib import Path
from accelerate import PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback
from personaproof.harden import RowSet, harden, load_picl, read_rows

# accelerate has FSDP for GPUs only; all that is its own after this choice runs on a CPU as well.
torch.distributed.init_process_group("gloo")
PartialState._prepare_backend = lambda *arguments: ("gloo", DistributedType.MULTI_GPU)
PartialState.set_device = lambda self: setattr(self, "device", torch.device("cpu"))

class Look(TrainerCallback):
    def on_train_end(self, args, state, control, model=None, **kwargs):
        whole = [name.split(".")[-2] for name, value in model.named_parameters() if not isinstance(value, DTensor)]
        sys.stdout.write(" ".join([os.environ["RANK"], "whole:", *whole]) + chr(10))  # in one piece, beside the other's

model, rows, out, *overrides = sys.argv[1:]
harden(model, RowSet(tuple(read_rows(Path(rows)))), load_picl("picl", *overrides), Path(out), callbacks=[Look()])
"""


def _launch(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    plain = ("--multi_gpu", "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    kind = plain if config is None else ("--config_file", str(config))
    launcher = (*kind, "--num_processes", "2", "--main_process_port", "0")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "accelerate.commands.launch", *launcher, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)


def _curve(out: Path) -> list[dict[str, float]]:
    found: list[dict[str, float]] = json.loads((out / "training.json").read_text())["result"]["curve"]
    return found


def _same_adapter(one: Path, other: Path, atol: float) -> None:
    first, second = (load_file(out / "adapter" / "adapter_model.safetensors") for out in (one, other))
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=atol)


@pytest.fixture(scope="module")
def rows_file(toy_rows: list[Row], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    write_rows(toy_rows, path)
    return path


def _set(settings: Sequence[str]) -> list[str]:
    return [part for setting in settings for part in ("--set", setting)]


def test_two_processes_are_one(tiny_llama: Path, toy_rows: list[Row], rows_file: Path, tmp_path: Path) -> None:
    """A step of 8 rows is 8 in one pass, 8 passes of 1, and 2 processes with 4 each: same losses, same adapter."""
    settings = (*COMMON, "lora.dropout=0.0")
    whole = harden(tiny_llama, RowSet(tuple(toy_rows)), load_picl("picl", *settings), tmp_path / "1x8")
    single = harden(
        tiny_llama, RowSet(tuple(toy_rows)), load_picl("picl", *settings, "micro_batch_rows=1"), tmp_path / "8x1"
    )
    data = ("--rows", str(rows_file), "--out", str(tmp_path / "2x4"), "--recipe", "picl")
    launched = _launch("-m", "personaproof", "harden", str(tiny_llama), *data, *_set(settings))
    assert launched.returncode == 0, launched.stderr
    assert launched.stdout.count("Trained 6 steps") == 1, "only the main process speaks"
    assert "Warning" not in launched.stderr

    def close(curve: Any) -> None:
        assert len(curve) == whole.steps == 6
        for one, other in zip(whole.curve, curve, strict=True):
            assert one.keys() == other.keys()
            for name, value in one.items():
                assert other[name] == pytest.approx(value, rel=1e-4, abs=1e-5), (name, one["step"])

    close(single.curve)
    close(_curve(tmp_path / "2x4"))
    _same_adapter(tmp_path / "1x8", tmp_path / "8x1", atol=2e-4)
    _same_adapter(tmp_path / "1x8", tmp_path / "2x4", atol=2e-4)
    learned = load_file(whole.path / "adapter_model.safetensors")
    assert max(float(value.abs().max()) for name, value in learned.items() if "lora_B" in name) > 0.01


@pytest.mark.long
def test_two_killed_processes_end_with_the_very_same_weights(tiny_llama: Path, rows_file: Path, tmp_path: Path) -> None:
    """With dropout, so that each process' random state counts too."""
    worker = tmp_path / "worker.py"
    worker.write_text(KILLED)
    settings = (*COMMON, "lora.dropout=0.2", "checkpoint_every=2")

    def train(out: str, kill: str = "") -> subprocess.CompletedProcess[str]:
        return _launch(str(worker), str(tiny_llama), str(rows_file), str(tmp_path / out), kill, *settings)

    straight = train("straight")
    assert straight.returncode == 0, straight.stderr
    assert sorted(straight.stdout.splitlines()) == ["0 saw [0] of 6", "1 saw [] of 6"]
    assert train("cut", "kill").returncode != 0
    assert (tmp_path / "cut" / "checkpoints" / "checkpoint-4" / "rng_state_1.pth").is_file()
    resumed = train("cut")
    assert resumed.returncode == 0, resumed.stderr
    assert sorted(resumed.stdout.splitlines()) == ["0 saw [4] of 6", "1 saw [] of 6"]
    _same_adapter(tmp_path / "straight", tmp_path / "cut", atol=0.0)
    assert _curve(tmp_path / "straight") == _curve(tmp_path / "cut")


@pytest.mark.long
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can do it")
def test_processes_refuse_a_recipe_once(tiny_llama: Path, rows_file: Path, tmp_path: Path) -> None:
    data = ("--rows", str(rows_file), "--out", str(tmp_path / "out"), "--recipe", "picl")
    launched = _launch("-m", "personaproof", "harden", str(tiny_llama), *data, "--set", "mode=qlora")
    assert launched.returncode != 0
    assert launched.stderr.count("mode=qlora needs a CUDA GPU") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_fsdp_trains_the_same_adapter(tiny_llama: Path, toy_rows: list[Row], rows_file: Path, tmp_path: Path) -> None:
    """Layers split, the rest whole; two passes a step and process, some of them without a row that has a teacher."""
    worker = tmp_path / "worker.py"
    worker.write_text(FSDP)
    settings = (*COMMON, "lora.dropout=0.0", "micro_batch_rows=2")
    whole = harden(tiny_llama, RowSet(tuple(toy_rows)), load_picl("picl", *settings), tmp_path / "whole")
    arguments = (str(worker), str(tiny_llama), str(rows_file), str(tmp_path / "split"), *settings)
    launched = _launch(*arguments, config=launch_path("fsdp"))
    assert launched.returncode == 0, launched.stderr
    assert sorted(launched.stdout.splitlines()) == [f"{i} whole: embed_tokens norm lm_head" for i in range(2)]
    for one, other in zip(whole.curve, _curve(tmp_path / "split"), strict=True):
        assert [other[name] for name in one] == pytest.approx(list(one.values()), rel=1e-4, abs=1e-5)
    _same_adapter(tmp_path / "whole", tmp_path / "split", atol=2e-4)
