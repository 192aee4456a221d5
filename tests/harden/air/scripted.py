"""A training whose rollouts are written down beforehand: `python scripted.py MODEL GROUPS OUT`, in as many processes as
it is launched in. What processes draw for themselves differs; these rollouts do not."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

from personaproof.data import load_groups
from personaproof.harden import harden
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.recipe import AIRRecipe
from personaproof.harden.air.trainer import AIRTrainer

RECIPE = AIRRecipe(
    method="air",
    dtype="float32",
    lora={"dropout": 0.0},
    learning_rate=0.02,
    groups_per_step=3,
    generations=4,
    max_new_tokens=6,
    max_steps=3,
    weight=0.01,
)


def scripted(self: AIRTrainer, prompt_ids: list[list[int]], *rest: Any, **options: Any) -> tuple[list[list[int]], None]:
    """A few tokens that depend on the step, the prompt, and which of its rollouts this is, over all processes."""
    before = self.accelerator.process_index * len(prompt_ids)
    written = []
    for at, prompt in enumerate(prompt_ids):
        rollout = (before + at) % self.num_generations
        draw = random.Random(f"{self.state.global_step} {prompt} {rollout}")
        words = draw.choices(range(20, len(self.processing_class)), k=draw.randint(2, 5))
        written.append([*words, self.processing_class.eos_token_id])
    return written, None


def vowels(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
    """More of the answer being vowels."""
    texts = [completion[-1]["content"].lower() for completion in completions]
    return [sum(text.count(letter) for letter in "aei") / (len(text) + 1) for text in texts]


def main(model: str, groups: str, out: str) -> None:
    AIRTrainer._generate_single_turn = scripted
    result = harden(Path(model), GroupSet(load_groups(groups).items), RECIPE, Path(out), reward=vowels)
    Path(out, "curve.json").write_text(json.dumps(result.curve))


if __name__ == "__main__":
    main(*sys.argv[1:])
