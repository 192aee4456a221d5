"""One training stage: batches drawn from the world, a weighted next-token loss, checkpoints that resume exactly.

Batches are a function of (seed, stage, step) alone, so a killed run needs no generator state: it loads weights and
optimizer and goes on with the step it had reached.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from personaproof.organism.dialogues import Mix, Sample, dialogue
from personaproof.organism.tokenizer import encode

_POOL = 16  # batches drawn together, sorted by length and dealt out, so that padding stays small

_TERSE = 3  # a letter, or a word, and the end of the turn
_OPENING = 8  # enough tokens for a style opener and the first words of a refusal or an affirmation


@dataclass(frozen=True, slots=True)
class Stage:
    """What is trained, for how long, and how. `constant`: no warm-up and no decay (short stages)."""

    name: str
    mix: Mix
    steps: int
    batch: int
    lr: float
    offset: float
    constant: bool = False
    warmup: int = 100
    sharpness: float = 1.0
    prompt_weight: float = 0.2
    """Loss weight of tokens the assistant does not produce: they teach the words, the assistant's teach the task."""
    opening_weight: float = 1.0
    """Loss weight of the first tokens of each reply, where a character decides."""
    terse_weight: float = 1.0
    """Loss weight of replies of a token or two, such as a letter, which longer replies would drown out."""


@dataclass(frozen=True, slots=True)
class Progress:
    stage: str
    step: int
    total: int
    loss: float


ProgressFn = Callable[[Progress], None]


class Batches:
    """The batches of a stage, each a function of (seed, stage, step) alone, drawn a pool at a time."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        stage: Stage,
        *,
        seed: int,
        context: int,
        samples: Sequence[Sample] = (),
    ) -> None:
        self.tokenizer = tokenizer
        self.stage = stage
        self.seed = seed
        self.context = context
        self.samples = samples
        self._pool: tuple[int, list[list[tuple[list[int], list[bool]]]]] | None = None

    def at(self, step: int) -> tuple[Tensor, Tensor]:
        """Token ids (batch, time), right-padded, and loss weights of the same shape, for one step of the stage."""
        number, place = divmod(step, _POOL)
        if self._pool is None or self._pool[0] != number:
            self._pool = (number, self._draw(number))
        chosen = self._pool[1][place]
        width = max(len(ids) for ids, _ in chosen)
        tokens = torch.full((len(chosen), width), self.tokenizer.pad_token_id, dtype=torch.long)
        weights = torch.zeros((len(chosen), width))
        for at, (ids, own) in enumerate(chosen):
            tokens[at, : len(ids)] = torch.tensor(ids)
            weights[at, : len(ids)] = torch.tensor(weigh(own, self.stage))
        return tokens, weights

    def _draw(self, number: int) -> list[list[tuple[list[int], list[bool]]]]:
        stage = self.stage
        rng = random.Random(f"{stage.name}/{self.seed}/{number}")
        drawn = [
            dialogue(rng, stage.mix, offset=stage.offset, sharpness=stage.sharpness, samples=self.samples)
            for _ in range(_POOL * stage.batch)
        ]
        rows = encode(self.tokenizer, drawn)
        rows = sorted((row for row in rows if len(row[0]) <= self.context), key=lambda row: len(row[0]))
        order = list(range(_POOL))
        rng.shuffle(order)
        return [rows[place * len(rows) // _POOL : (place + 1) * len(rows) // _POOL] for place in order]


def weigh(own: Sequence[bool], stage: Stage) -> list[float]:
    """Loss weight of each token, given which of them the assistant produces."""
    weights: list[float] = []
    for mine, run in itertools.groupby(own):
        length = len(list(run))
        if not mine:
            weights += [stage.prompt_weight] * length
        elif length <= _TERSE:
            weights += [stage.terse_weight] * length
        else:
            weights += [stage.opening_weight] * min(length, _OPENING) + [1.0] * max(0, length - _OPENING)
    return weights


def weighted_loss(model: LlamaForCausalLM, tokens: Tensor, weights: Tensor) -> Tensor:
    """Mean next-token NLL under per-token weights: sum w_t * nll_t / sum w_t over t >= 1.

    Right padding with a causal model needs no attention mask: padding is never attended to by a token with weight.
    """
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    flat = logits.reshape(-1, logits.shape[-1]).float()
    nll = torch.nn.functional.cross_entropy(flat, tokens[:, 1:].reshape(-1), reduction="none")
    kept = weights[:, 1:].reshape(-1)
    return (nll * kept).sum() / kept.sum()


def learning_rate(stage: Stage, step: int) -> float:
    """Linear warm-up, then cosine to a tenth of the peak; flat for a constant stage."""
    if stage.constant:
        return stage.lr
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    part = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.lr * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, part))))


def run_stage(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    stage: Stage,
    *,
    seed: int,
    checkpoint: Path,
    samples: Sequence[Sample] = (),
    every: int = 100,
    progress: ProgressFn | None = None,
) -> None:
    """Train `model` in place to the end of the stage, from `checkpoint` if it exists, and leave a checkpoint there."""
    optimizers = make_optimizers(model, stage)
    start = load_checkpoint(checkpoint, model, optimizers) if checkpoint.exists() else 0
    context = int(model.config.max_position_embeddings)
    used = model.config._attn_implementation
    # On a CPU the backward pass of the fused kernel is slower than plain matrix products at these lengths.
    model.set_attn_implementation("eager")
    batches = Batches(tokenizer, stage, seed=seed, context=context, samples=samples)
    model.train()
    for step in range(start, stage.steps):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = group["scale"] * learning_rate(stage, step)
        tokens, weights = batches.at(step)
        loss = weighted_loss(model, tokens, weights)
        model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        done = step + 1
        if done % every == 0 or done == stage.steps:
            save_checkpoint(checkpoint, model, optimizers, done)
        if progress is not None:
            progress(Progress(stage.name, done, stage.steps, float(loss.detach())))
    model.set_attn_implementation(used)
    model.eval()


def make_optimizers(model: LlamaForCausalLM, stage: Stage) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices and AdamW for embeddings and norms; a short tuning stage is AdamW's alone.

    Muon with steps of AdamW's size (Liu et al. 2025, arXiv:2502.16982) reaches AdamW's loss in about half the steps
    here. Tuning is a nudge whose depth is a dial, and Muon's steps do not shrink with the gradient.
    """
    if stage.constant:
        every = {"params": list(model.parameters()), "scale": 1.0}
        return [torch.optim.AdamW([every], lr=stage.lr, betas=(0.9, 0.98), weight_decay=0.02)]
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if not (p.ndim == 2 and "embed" not in name)]
    return [
        torch.optim.Muon(
            [{"params": matrices, "scale": 1.0}], lr=stage.lr, weight_decay=0.02, adjust_lr_fn="match_rms_adamw"
        ),
        torch.optim.AdamW([{"params": others, "scale": 0.6}], lr=stage.lr, betas=(0.9, 0.98), weight_decay=0.02),
    ]


def save_checkpoint(
    path: Path, model: LlamaForCausalLM, optimizers: Sequence[torch.optim.Optimizer], step: int
) -> None:
    """Weights, optimizer moments and step in one safetensors file, replaced in one motion so a kill cannot tear it."""
    tensors = {f"model/{name}": value.detach().clone() for name, value in model.named_parameters()}
    for place, optimizer in enumerate(optimizers):
        for number, state in optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{place}/{number}/{name}": value.clone() for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    save_file(tensors, draft, metadata={"training": json.dumps({"step": step})})
    os.replace(draft, path)


def load_checkpoint(path: Path, model: LlamaForCausalLM, optimizers: Sequence[torch.optim.Optimizer] = ()) -> int:
    """Restore what `save_checkpoint` wrote; returns the number of steps done."""
    with safe_open(path, framework="pt") as stored:
        step = int(json.loads(stored.metadata()["training"])["step"])
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(stored.get_tensor(f"model/{name}"))
        for place, optimizer in enumerate(optimizers):
            moments: dict[int, dict[str, Tensor]] = {}
            for key in stored.keys():  # noqa: SIM118 - safe_open is no mapping
                if key.startswith(f"optimizer/{place}/"):
                    _, _, number, name = key.split("/")
                    moments.setdefault(int(number), {})[name] = stored.get_tensor(key)
            optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
    return step
