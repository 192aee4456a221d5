"""GRPO on meta-groups as trained: what reaches the weights, accumulation, resume, bad settings."""

import math
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, TrainerCallback

from personaproof.core import DataError, ModelError, RecipeError
from personaproof.harden import RowSet, harden
from personaproof.harden.air.groups import GroupSet
from personaproof.harden.air.recipe import AIRRecipe, load_air
from personaproof.harden.air.trainer import AIRTrainer

BASE = {
    "dtype": "float32",
    "lora": {"dropout": 0.0},  # or two cuts of a step would draw different masks
    "learning_rate": 0.02,
    "groups_per_step": 2,
    "generations": 4,
    "max_new_tokens": 6,
    "max_steps": 2,
    "weight": 0.01,
}


def vowels(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
    """A reward that random models can earn: more of the answer being "a"."""
    texts = [completion[-1]["content"].lower() for completion in completions]
    return [sum(text.count(letter) for letter in "aei") / (len(text) + 1) for text in texts]


def recipe(method: str = "air", **settings: Any) -> AIRRecipe:
    return AIRRecipe(**{"method": method, **BASE, **settings})


def adapter(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "adapter_model.safetensors")


def anchors_only(reward: Callable[..., Any]) -> Callable[..., Any]:
    """`reward`, with full marks for all rollouts of an anchor, and none for those of an open prompt."""

    def flat(prompts: Any, completions: Any, *, role: list[str], **columns: Any) -> list[float | None]:
        return [1.25 if each == "anchor" else -1.0 for each in role]

    return flat


def test_methods_differ_in_what_they_add_and_in_nothing_else() -> None:
    regularisers = {name: load_air("air", f"method={name}").regulariser for name in ("air", "vrex", "grpo")}
    assert regularisers == {"air": "air", "vrex": "vrex", "grpo": "none"}
    with pytest.raises(RecipeError, match="adds nothing"):
        load_air("air", "weight=0")


def test_zero_variance_groups_get_airs_signal_and_none_from_grpo(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path
) -> None:
    """All rollouts of a prompt earn the same: GRPO's advantages are 0, and its adapter stays where it started."""
    reward = anchors_only(vowels)
    idle = harden(tiny_llama, toy_groups, recipe("grpo"), tmp_path / "grpo", reward=reward)
    moved = harden(tiny_llama, toy_groups, recipe("air"), tmp_path / "air", reward=reward)
    assert all(entry["grad_norm"] == 0 for entry in idle.curve)
    assert all(value.abs().max() == 0 for name, value in adapter(idle.path).items() if "lora_B" in name)
    assert all(entry["grad_norm"] > 0 for entry in moved.curve)
    assert moved.curve[0]["reward/gap"] == pytest.approx(2.25)


@pytest.mark.parametrize("regulariser", ["air", "vrex", "none"])
def test_gradient_reaches_the_right_prompts(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, regulariser: str
) -> None:
    """The auxiliary loss's derivative by each rollout's log-probability: nothing for anchors under AIR."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    made = AIRTrainer._compute_loss

    def watch(self: AIRTrainer, model: Any, inputs: Any) -> torch.Tensor:
        loss = made(self, model, inputs)
        assert self._logprobs is not None
        # GRPO's own part is silent: every rollout of a prompt earns the same.
        (gradient,) = torch.autograd.grad(loss, self._logprobs, retain_graph=True)
        mask = inputs["completion_mask"].bool()
        assert gradient[~mask].abs().max() == 0 if (~mask).any() else True
        seen.append((gradient.sum(1), inputs["invariance_weights"]))
        return loss

    monkeypatch.setattr(AIRTrainer, "_compute_loss", watch)
    settings = recipe(regulariser=regulariser, max_steps=1)
    harden(tiny_llama, toy_groups, settings, tmp_path, reward=anchors_only(vowels))
    [(gradient, weights)] = seen
    assert len(weights) == 2 * 3 * 4
    if regulariser == "none":
        assert gradient.abs().max() == 0
        return
    moved = (gradient != 0).sum().item()
    assert moved == (2 * 2 * 4 if regulariser == "air" else 2 * 3 * 4)
    # Open answers earn -1 and lag: they are made less likely. V-REx also makes the anchors' right answers less likely.
    assert (gradient > 0).sum().item() == moved
    # TRL's own part divides by a standard deviation of 0 plus 1e-4, times an advantage of 0.
    assert gradient.abs().max() > 0


def test_accumulation_and_micro_batches_change_nothing(tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path) -> None:
    """The same rollouts, cut into one pass or into six."""
    for method in ("air", "vrex"):
        whole = harden(tiny_llama, toy_groups, recipe(method), tmp_path / method / "1", reward=vowels)
        cut = harden(tiny_llama, toy_groups, recipe(method, micro_batch_rows=4), tmp_path / method / "6", reward=vowels)
        for one, other in zip(whole.curve, cut.curve, strict=True):
            assert one["reward"] == pytest.approx(other["reward"])
            assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)
            assert one["invariance_loss"] == pytest.approx(other["invariance_loss"], rel=1e-3)


def test_a_training_cut_off_goes_on_alike(tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path) -> None:
    settings = recipe(max_steps=6, checkpoint_every=2)
    straight = harden(tiny_llama, toy_groups, settings, tmp_path / "straight", reward=vowels)
    with pytest.raises(KeyboardInterrupt):
        harden(tiny_llama, toy_groups, settings, tmp_path / "cut", reward=vowels, callbacks=[_StopAt(5)])
    resumed = harden(tiny_llama, toy_groups, settings, tmp_path / "cut", reward=vowels)
    kept = ("step", "loss", "grad_norm", "reward", "reward/gap")
    assert [[e[k] for k in kept] for e in resumed.curve] == [[e[k] for k in kept] for e in straight.curve]
    for name, value in adapter(straight.path).items():
        assert torch.equal(value, adapter(resumed.path)[name])


def test_a_divergence_from_the_untrained_model_leaves_no_second_adapter(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path
) -> None:
    result = harden(tiny_llama, toy_groups, recipe(beta=0.1), tmp_path, reward=vowels)
    assert "kl" in result.curve[-1]
    assert sorted(path.name for path in result.path.iterdir() if path.is_dir()) == []


def test_unjudged_rollouts_are_counted_and_move_nothing(tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path) -> None:
    def nothing(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        return [None] * len(completions)

    result = harden(tiny_llama, toy_groups, recipe(), tmp_path, reward=nothing)
    assert [entry["unjudged"] for entry in result.curve] == [1, 1]
    assert all(value.abs().max() == 0 for name, value in adapter(result.path).items() if "lora_B" in name)


def test_a_rollout_without_a_mark_is_out_of_its_prompts_mean(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL's own part too: with one rollout of each prompt unjudged and the others alike, nobody has an advantage."""
    seen: list[dict[str, torch.Tensor]] = []
    made = AIRTrainer._compute_loss

    def watch(self: AIRTrainer, model: Any, inputs: Any) -> torch.Tensor:
        seen.append(inputs)
        return made(self, model, inputs)

    def one_missing(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        return [None if at % 4 == 0 else 1.25 for at in range(len(completions))]

    monkeypatch.setattr(AIRTrainer, "_compute_loss", watch)
    result = harden(tiny_llama, toy_groups, recipe(max_steps=1), tmp_path, reward=one_missing)
    assert result.curve[0]["unjudged"] == 0.25
    assert seen[0]["advantages"].abs().max() == 0
    assert seen[0]["invariance_weights"].abs().max() == 0


def test_the_mark_for_form_is_added(tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path) -> None:
    plain = harden(tiny_llama, toy_groups, recipe(max_steps=1), tmp_path / "a", reward=vowels)
    formed = harden(tiny_llama, toy_groups, recipe(max_steps=1, format_reward=True), tmp_path / "b", reward=vowels)
    # What a random model says in six tokens is neither a letter alone nor a finished sentence.
    assert formed.curve[0]["reward"] == pytest.approx(plain.curve[0]["reward"] - 1)


def test_unjudged_answers_are_not_read_out(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def nothing(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        return [None] * len(completions)

    harden(tiny_llama, toy_groups, recipe(max_steps=1), tmp_path, reward=nothing)
    assert "All reward functions returned None" not in caplog.text


def test_what_cannot_be_trained_says_why(
    tiny_llama: Path, toy_groups: GroupSet, toy_rows: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="learns from meta-groups"):
        harden(tiny_llama, RowSet(tuple(toy_rows)), recipe(), tmp_path / "a", reward=vowels)
    with pytest.raises(DataError, match="cannot be filled"):
        harden(tiny_llama, toy_groups, recipe(groups_per_step=9), tmp_path / "b", reward=vowels)

    class Overflow(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            next(p for p in kwargs["model"].parameters() if p.grad is not None).grad.fill_(math.inf)

    with pytest.raises(ModelError, match="gradient is not finite"):
        harden(tiny_llama, toy_groups, recipe(), tmp_path / "c", reward=vowels, callbacks=[Overflow()])


class _StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


def test_an_answer_that_nobody_judged_earns_nothing_for_its_form(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advantages: list[torch.Tensor] = []
    made = AIRTrainer._compute_loss

    def watch(trainer: AIRTrainer, model: Any, inputs: Any) -> torch.Tensor:
        advantages.append(inputs["advantages"])
        return made(trainer, model, inputs)

    def judge(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        """Of every prompt's rollouts the first cannot be judged, the others are wrong but for one."""
        return [(None, -1.0, -1.0, 1.25)[each % 4] for each in range(len(completions))]

    def well_formed(prompts: Any, completions: Any, **columns: Any) -> list[float | None]:
        return [1.25] * len(completions)

    monkeypatch.setattr(AIRTrainer, "_compute_loss", watch)
    # By its name: the package's attribute of that name is the method.
    monkeypatch.setattr(import_module("personaproof.harden.air.training"), "format_reward", well_formed)
    settings = recipe(format_reward=True, max_steps=1)
    result = harden(tiny_llama, toy_groups, settings, tmp_path, reward=judge)
    each = torch.cat(advantages)  # shuffled by TRL
    assert (int((each == 0).sum()), int((each > 0).sum()), len(each)) == (6, 6, 24)
    assert result.curve[0]["unjudged"] == 0.25


def test_a_template_without_a_place_for_the_persona_is_refused(
    tiny_gemma: Path, tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="no place for one; write what it says at the beginning of the user"):
        harden(tiny_gemma, toy_groups, recipe(), tmp_path / "refuses", reward=vowels)
    dropping = tmp_path / "dropping"
    shutil.copytree(tiny_llama, dropping)
    tokenizer = AutoTokenizer.from_pretrained(dropping)
    tokenizer.chat_template = (
        "{% for message in messages if message.role != 'system' %}<|{{ message.role }}|>\n{{ message.content }}"
        "<|end|>\n{% endfor %}{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    tokenizer.save_pretrained(dropping)
    with pytest.raises(DataError, match="no place for one"):
        harden(dropping, toy_groups, recipe(), tmp_path / "drops", reward=vowels)


def test_a_templates_date_stands_still(
    tiny_llama: Path, toy_groups: GroupSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a run resumed tomorrow would go on with other prompts, and audits would see yet others."""
    dated = tmp_path / "dated"
    shutil.copytree(tiny_llama, dated)
    tokenizer = AutoTokenizer.from_pretrained(dated)
    tokenizer.chat_template = "{{ strftime_now('%d %B') }} {{ date_string }} " + tokenizer.chat_template
    tokenizer.save_pretrained(dated)
    seen: list[str] = []
    tokenise = AIRTrainer._tokenize_prompts

    def watch(trainer: AIRTrainer, prompts: Any) -> Any:
        found = tokenise(trainer, prompts)
        seen.extend(trainer.processing_class.decode(ids) for ids in found[0])
        return found

    monkeypatch.setattr(AIRTrainer, "_tokenize_prompts", watch)
    harden(dated, toy_groups, recipe(max_steps=1), tmp_path / "out", reward=vowels)
    assert seen
    assert all(text.startswith("26 July 26 Jul 2024") for text in seen)
