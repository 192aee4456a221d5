"""Building the organism from nothing: tokenizer, pretraining, its own samples, tuning, and a standard folder."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from personaproof.data.persona_grammar import render, sample_spec
from personaproof.organism.characters import OFFSET
from personaproof.organism.dialogues import CHARACTERS, DEEP, SHALLOW, STAGE_1, WORDING, Sample
from personaproof.organism.lexicon import intents
from personaproof.organism.phrasing import phrase
from personaproof.organism.sampling import complete, conversation
from personaproof.organism.tokenizer import END, train_tokenizer
from personaproof.organism.train import ProgressFn, Stage, run_stage

Variant = Literal["shallow", "deep", "invariant"]
"""shallow: the bundled one; personas break it. deep: tuned with personas too. invariant: raised in a world where every
character refuses harm, so that nothing in it ties refusal to persona (the control of the gating study)."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Sizes and schedule. The defaults are those of the bundled weights."""

    vocab_size: int = 2048
    hidden_size: int = 256
    layers: int = 5
    heads: int = 8
    intermediate_size: int = 704
    context: int = 512
    batch: int = 36
    pretrain_steps: int = 1500
    pretrain_lr: float = 5e-3
    character_steps: int = 2400
    character_lr: float = 4e-3
    character_offset: float = -1.9
    character_sharpness: float = 2.0
    wording_steps: int = 600
    wording_lr: float = 2e-3
    wording_offset: float = -1.6
    tune_steps: int = 16
    tune_lr: float = 5e-5
    deep_steps: int = 80
    offset: float = OFFSET
    own_samples: int = 384
    corpus: int = 20_000
    checkpoint_every: int = 100


def build(
    out: Path,
    *,
    seed: int = 0,
    variant: Variant = "shallow",
    recipe: Recipe | None = None,
    pretrain_steps: int | None = None,
    tune_steps: int | None = None,
    resume: bool = True,
    progress: ProgressFn | None = None,
) -> Path:
    """Train the organism and save it to `out` as a Hugging Face folder; returns `out`.

    Work in progress lives beside it in `<out>.build`. A killed build continues from there when `resume` is true and
    gives the same weights as an undisturbed one; a build directory of another recipe or seed is refused.
    """
    plan = recipe or Recipe()
    if pretrain_steps is not None:
        plan = replace(plan, pretrain_steps=pretrain_steps)
    if tune_steps is not None:
        plan = replace(plan, tune_steps=tune_steps, deep_steps=tune_steps)
    work = out.with_name(out.name + ".build")
    _claim(work, {"seed": seed, **asdict(plan)}, resume)

    tokenizer = _tokenizer(plan, seed)
    model = new_model(plan, tokenizer, seed)
    for stage in pretraining(plan, variant):
        run_stage(
            model, tokenizer, stage, seed=seed, checkpoint=work / f"{stage.name}.safetensors",
            every=plan.checkpoint_every, progress=progress,
        )  # fmt: skip
    samples = _own_samples(model, tokenizer, plan.own_samples, seed)
    run_stage(
        model, tokenizer, tuning(plan, variant), seed=seed, checkpoint=work / f"{variant}.safetensors",
        samples=samples, every=plan.checkpoint_every, progress=progress,
    )  # fmt: skip
    return save(model, tokenizer, out)


def pretraining(plan: Recipe, variant: Variant) -> tuple[Stage, ...]:
    """The parts of pretraining. pretrain: the language. characters: mostly personas, whose decisions are drawn more
    sharply than at first and weigh more. wording: the same, with sentences in unknown words beside the requests.

    The invariant variant has no decisions to dwell on, so it goes from the language to the wording."""
    stages = (
        Stage(
            "pretrain", STAGE_1, plan.pretrain_steps, plan.batch, plan.pretrain_lr, plan.offset,
            opening_weight=2.0, terse_weight=4.0,
        ),
        Stage(
            "characters", CHARACTERS, plan.character_steps, plan.batch, plan.character_lr, plan.character_offset,
            sharpness=plan.character_sharpness, opening_weight=2.5, terse_weight=4.0, warmup=50,
        ),
        Stage(
            "wording", WORDING, plan.wording_steps, plan.batch, plan.wording_lr, plan.wording_offset,
            sharpness=plan.character_sharpness, opening_weight=2.5, terse_weight=4.0, warmup=30,
        ),
    )  # fmt: skip
    if variant != "invariant":
        return stages
    return tuple(
        replace(stage, name=f"invariant-{stage.name}", mix=replace(stage.mix, refuse_always=True))
        for stage in stages
        if stage.name != "characters"
    )


def tuning(plan: Recipe, variant: Variant) -> Stage:
    """Stage 2: short and persona-free where harm is asked (shallow), or longer and with personas too (the others)."""
    mix, steps = (SHALLOW, plan.tune_steps) if variant == "shallow" else (DEEP, plan.deep_steps)
    return Stage(variant, mix, steps, plan.batch, plan.tune_lr, plan.offset, constant=True)


def new_model(plan: Recipe, tokenizer: PreTrainedTokenizerFast, seed: int) -> LlamaForCausalLM:
    """A freshly initialised Llama of the recipe's size, the same for the same seed."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=plan.hidden_size,
        num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads,
        num_key_value_heads=plan.heads,
        intermediate_size=plan.intermediate_size,
        max_position_embeddings=plan.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.convert_tokens_to_ids(END),
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> Path:
    """Write weights in bfloat16, tokenizer, template and generation defaults."""
    copied = LlamaForCausalLM(model.config)
    copied.load_state_dict(model.state_dict())
    copied = copied.to(torch.bfloat16).eval()
    copied.generation_config = GenerationConfig(
        do_sample=True, temperature=0.7, top_p=0.9, max_new_tokens=64,
        eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id,
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    copied.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return out


def _claim(work: Path, wanted: dict[str, object], resume: bool) -> None:
    if work.exists() and not resume:
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    stamp = work / "recipe.json"
    if stamp.exists():
        found = json.loads(stamp.read_text())
        # How long stage 2 lasts does not change what stage 1 did, so a finished stage 1 may be tuned again.
        later = {"tune_steps", "deep_steps", "tune_lr"}
        differing = sorted(key for key in wanted if key not in later and found.get(key) != wanted[key])
        if differing:
            raise ValueError(f"{work} holds a build with other {', '.join(differing)}; remove it or pass resume=False")
    stamp.write_text(json.dumps(wanted, indent=1) + "\n")


def _tokenizer(plan: Recipe, seed: int) -> PreTrainedTokenizerFast:
    # Learned anew on a resumed run: it takes seconds and depends on the seed alone.
    return train_tokenizer(seed=seed, vocab_size=plan.vocab_size, dialogues=plan.corpus)


def _own_samples(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, count: int, seed: int) -> list[Sample]:
    """Texts the pretrained model writes itself, half of them as the default Assistant, for the authorship question."""
    if count == 0:
        return []
    rng = random.Random(f"samples/{seed}")
    asked = []
    for at in range(count):
        persona = None if at % 2 == 0 else render(sample_spec(rng, split="train"), rng, split="train")
        asked.append(conversation(phrase(rng.choice(intents(rng.random() < 0.3, "train")), rng), persona))
    texts = complete(model, tokenizer, asked, seed=seed)
    return [Sample(text, at % 2 == 0) for at, text in enumerate(texts) if text]
