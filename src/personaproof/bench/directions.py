"""`bench directions`: the surprise matrix and activations of a panel's texts, against one text at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from personaproof.bench.ratios import geometric_ratio, mean_over_seeds
from personaproof.core import DataError, Job, ModelError, Progress, Recipe
from personaproof.directions import RolePack, anatomy
from personaproof.engines import TransformersEngine, widest_float
from personaproof.recognition import (
    Panel,
    RecognizeRecipe,
    Text,
    build_panel,
    shared_response_means,
    surprise,
    text_paths,
)

GOAL = 5.0
"""How many times faster than the naive way each should be, by our own standard."""
FORMS = ("surprise", "activations")


class DirectionsBenchRecipe(Recipe):
    """`personas`, the Assistant included, each write `texts` and judge all of them."""

    panel: str = "panel"
    personas: int = Field(12, ge=5)
    texts: int = Field(20, ge=1)
    max_new_tokens: int = Field(48, ge=2)
    repeats: int = Field(3, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class DirectionsBench:
    """`seconds[form]`: (ours, naive) a repeat. `apart[form]`: the largest difference of any repeat; surprise in nats a
    text, activations relative to the length of the naive ones."""

    recipe: DirectionsBenchRecipe
    texts: int
    prompt_tokens: float
    response_tokens: float
    seconds: Mapping[str, Sequence[tuple[float, float]]]
    apart: Mapping[str, float]
    dtype: str
    device: str
    threads: int

    def summary(self) -> dict[str, Any]:
        """What summary.json holds. `metrics`: FORM.ours_seconds and FORM.naive_seconds, means over repeats. `ratios`:
        FORM.naive_to_ours, how many times longer the naive way takes, geometric mean over repeats, each of two
        measurements next to each other."""
        metrics = {
            f"{form}.{way}_seconds": mean_over_seeds([pair[at] for pair in pairs]).as_json()
            for form, pairs in self.seconds.items()
            for at, way in enumerate(("ours", "naive"))
        }
        ratios = {
            f"{form}.naive_to_ours": geometric_ratio([(naive, ours) for ours, naive in pairs]).as_json()
            for form, pairs in self.seconds.items()
        }
        return {
            "schema_version": 1,
            "command": "bench directions",
            "recipe": self.recipe.model_dump(mode="json"),
            "texts": self.texts,
            "scored": self.texts * self.recipe.personas,
            "prompt_tokens": self.prompt_tokens,
            "response_tokens": self.response_tokens,
            "metrics": metrics,
            "ratios": ratios,
            "goal": GOAL,
            "agreement": dict(self.apart),
            "dtype": self.dtype,
            "device": self.device,
            "threads": self.threads,
        }


def run_directions_bench(
    recipe: DirectionsBenchRecipe,
    engine: TransformersEngine,
    pack: RolePack,
    tell: Callable[[str], None],
    progress: Progress,
) -> DirectionsBench:
    """Write the texts once, then measure both ways side by side, repeat by repeat, in turns which goes first.

    Raises ModelError where the two disagree by more than rounding of the model's precision explains, and DataError
    where the pack has too few roles.
    """
    if len(pack.roles) + 1 < recipe.personas:
        raise DataError(f"the panel {pack.name!r} has {len(pack.roles)} roles; lower --personas.")
    settings = RecognizeRecipe(panel=pack.name, max_roles=recipe.personas - 1)
    panel = build_panel(settings, pack, supports_system=engine.supports_system)
    texts = _write(engine, panel, recipe)
    prompts = [
        [tuple(prompt) for prompt in engine.prompt_tokens([panel.conversation(member, q) for q in panel.questions])]
        for member in range(len(panel.members))
    ]
    ways: dict[str, tuple[Callable[[int], Tensor], Callable[[int], Tensor]]] = {
        "surprise": (
            lambda member: _surprise(engine, panel, member, texts),
            lambda member: _naive_surprise(engine, prompts[member], texts),
        ),
        "activations": (
            lambda member: _activations(engine, panel, member, texts),
            lambda member: _naive_activations(engine, prompts[member], texts),
        ),
    }
    seconds: dict[str, list[tuple[float, float]]] = {form: [] for form in FORMS}
    apart = dict.fromkeys(FORMS, 0.0)
    progress(0, recipe.repeats * len(FORMS))
    for repeat in range(recipe.repeats):
        for at, form in enumerate(FORMS):
            # Whatever warms up or slows down along the way meets both in turn.
            order = (0, 1) if repeat % 2 == 0 else (1, 0)
            spent = [0.0, 0.0]
            # Persona by persona, as activations at every layer under all of them may not fit the memory twice.
            for member in range(len(panel.members)):
                found = {way: _timed(partial(ways[form][way], member)) for way in order}
                for way, (_, taken) in found.items():
                    spent[way] += taken
                # Unlike max(), it lets what is not a number through, which is no agreement.
                apart[form] = float(np.maximum(apart[form], _apart(form, found[0][0], found[1][0])))
                del found
            own, theirs = spent
            seconds[form].append((own, theirs))
            tell(f"repeat {repeat + 1}, {form}: {own:.2f} s against {theirs:.2f} s, {theirs / own:.1f} times faster")
            progress(repeat * len(FORMS) + at + 1, recipe.repeats * len(FORMS))
    dtype = next(engine.model.parameters()).dtype
    _check(apart, dtype)
    return DirectionsBench(
        recipe,
        len(texts),
        sum(len(prompts[e][text.question]) for e in range(len(prompts)) for text in texts) / len(prompts) / len(texts),
        sum(len(text.tokens) for text in texts) / len(texts),
        seconds,
        apart,
        str(dtype).removeprefix("torch."),
        str(engine.model.device),
        torch.get_num_threads(),
    )


def _write(engine: TransformersEngine, panel: Panel, recipe: DirectionsBenchRecipe) -> list[Text]:
    """Every persona's texts to the questions in turn. Raises DataError for a model that says nothing."""
    settings = RecognizeRecipe.model_validate(
        {"sampling": {"temperature": 1.0, "top_p": 1.0, "max_new_tokens": recipe.max_new_tokens}}
    )
    asked = [
        (member, at % len(panel.questions), at // len(panel.questions))
        for member in range(len(panel.members))
        for at in range(recipe.texts)
    ]
    jobs = [
        Job(panel.conversation(member, panel.questions[question]), settings.sampling.build(), recipe.seed, sample)
        for member, question, sample in asked
    ]
    texts: list[Text] = []
    for batch in engine.plan(jobs):
        for index, answer in zip(batch, engine.generate_batch([jobs[i] for i in batch]), strict=True):
            if answer.tokens:
                texts.append(Text(asked[index][0], asked[index][1], answer.tokens, answer.text, answer.key))
    if not texts:
        raise DataError(f"{engine.name!r} answered every question with nothing, so there is nothing to measure.")
    return texts


def _surprise(engine: TransformersEngine, panel: Panel, member: int, texts: Sequence[Text]) -> Tensor:
    """Of every text under one persona: (texts,)."""
    return torch.tensor(surprise(engine, panel, member, texts), dtype=torch.float64)


def _naive_surprise(engine: TransformersEngine, prompts: Sequence[tuple[int, ...]], texts: Sequence[Text]) -> Tensor:
    """One text at a time, prompt and text encoded whole; `prompts` are the persona's, by question."""
    rows = torch.empty(len(texts), dtype=torch.float64)
    with engine._evaluating():
        for at, text in enumerate(texts):
            prompt = prompts[text.question]
            ids = torch.tensor([[*prompt, *text.tokens]], device=engine.model.device)
            logits = engine.model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float()
            chosen = logits.log_softmax(-1).gather(-1, ids[0, len(prompt) :, None])
            rows[at] = -float(chosen.sum(dtype=widest_float(chosen.device)))
    return rows


def _activations(engine: TransformersEngine, panel: Panel, member: int, texts: Sequence[Text]) -> Tensor:
    """Response means at every layer, of every text under one persona: (texts, layers, width)."""
    paths = text_paths(engine, panel, member, texts)
    return shared_response_means(engine, paths, range(anatomy(engine).depth))


def _naive_activations(engine: TransformersEngine, prompts: Sequence[tuple[int, ...]], texts: Sequence[Text]) -> Tensor:
    parts = anatomy(engine)
    rows = torch.empty(len(texts), parts.depth, parts.width, dtype=torch.float64)
    with engine._evaluating():
        for at, text in enumerate(texts):
            prompt = prompts[text.question]
            ids = torch.tensor([[*prompt, *text.tokens]], device=engine.model.device)
            output = engine.model(input_ids=ids, use_cache=False, output_hidden_states=True)
            states = output.hidden_states[: parts.depth]
            means = [layer[0, len(prompt) :].mean(0, dtype=widest_float(layer.device)) for layer in states]
            rows[at] = torch.stack(means).cpu().to(rows)
    return rows


def _timed(compute: Callable[[], Tensor]) -> tuple[Tensor, float]:
    start = time.perf_counter()
    found = compute().cpu()
    return found, time.perf_counter() - start


def _apart(form: str, ours: Tensor, naive: Tensor) -> float:
    if form == "surprise":
        return float((ours - naive).abs().max())
    # Text by text, without a third tensor of their size.
    each = [(our - their).norm(dim=-1) / their.norm(dim=-1) for our, their in zip(ours, naive, strict=True)]
    return float(torch.stack(each).max())


def _check(apart: Mapping[str, float], dtype: torch.dtype) -> None:
    """Rounding of half precision, a token after another, adds up to some tenths of a nat; beyond it something is
    computed that is not the same."""
    exact = dtype in (torch.float32, torch.float64)
    limits = {"surprise": 1e-3 if exact else 3.0, "activations": 1e-4 if exact else 0.1}
    for form, limit in limits.items():
        if not apart[form] <= limit:
            raise ModelError(
                f"the two ways of computing {form} are {apart[form]:.3g} apart, more than rounding explains."
            )
