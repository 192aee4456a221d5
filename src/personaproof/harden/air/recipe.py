"""Settings of training by group-relative policy optimisation on meta-groups."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from personaproof.core import Recipe, load_recipe
from personaproof.harden.recipe import TrainingRecipe, recipe_path

Regulariser = Literal["air", "vrex", "none"]
REGULARISERS: dict[str, Regulariser] = {"air": "air", "vrex": "vrex", "grpo": "none"}
"""What each method adds to GRPO, unless its recipe says otherwise."""


class VLLM(Recipe):
    """Generation by vLLM instead of the model's own, through TRL; needs CUDA and `pip install trl[vllm]`."""

    mode: Literal["colocate", "server"] = "colocate"
    """Inside the training processes, or in a server started with `trl vllm-serve`."""
    server_base_url: str | None = None
    gpu_memory_utilization: float = Field(default=0.3, gt=0, le=1)
    tensor_parallel_size: int = Field(default=1, ge=1)


class AIRRecipe(TrainingRecipe):
    """GRPO on meta-groups, with Anchor Invariance Regularization, V-REx, or neither ("Towards Context-Invariant Safety
    Alignment", arXiv 2605.20994; the paper trains 3,000 steps at a learning rate of 5e-7 with 3 rollouts a prompt).

    L = L_GRPO + weight * J;  J = -(1/N) sum_{s,k} Delta_s r_{s,k} log pi(y_{s,k} | s)
    """

    method: str = "air"
    regulariser: Regulariser = "air"
    """"air": Delta_s = r_acr - r_s on open prompts, r_acr the mean over the group's anchors of their mean rewards.
    "vrex": Delta_s = 2 (mean of all r - r_s) on all prompts, the gradient of their variance. "none": plain GRPO."""
    weight: float = Field(default=8e-4, ge=0)
    """Lambda. The log-probability it weighs is a sum over the tokens of a response."""
    groups_per_step: int = Field(default=4, ge=1)
    """Meta-groups an optimiser step, whole, over all processes."""
    generations: int = Field(default=3, ge=2)
    """K: rollouts a prompt."""
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_new_tokens: int = Field(default=256, ge=1)
    beta: float = Field(default=0.0, ge=0)
    """Weight of the divergence from the untrained model in GRPO's own loss."""
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"] = "grpo"
    """How TRL averages GRPO's loss over tokens: "grpo" within each response first, as first published."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What GRPO's advantages are divided by: the standard deviation of the prompt's rollouts (the paper), of the batch,
    or nothing."""
    format_reward: bool = False
    """Adds a mark for an answer's form, on the same scale: a letter alone for a choice, else a finished sentence."""
    manner: bool = False
    """The paper's step above right: a right answer in persona that keeps its manner earns 2.5 and one that loses it
    1.25, as a judge of utility sees it; right anchors earn 2.5, for the best refusals not to be damped."""
    vllm: VLLM | None = None

    @model_validator(mode="before")
    @classmethod
    def _regulariser_of_method(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {"regulariser": REGULARISERS.get(str(values.get("method", "air")), "air"), **values}
        return values

    @model_validator(mode="after")
    def _adds_something(self) -> AIRRecipe:
        if self.regulariser != "none" and self.weight == 0:
            raise ValueError("weight 0 adds nothing to GRPO; use method=grpo, or regulariser=none")
        return self


def load_air(name_or_path: str = "air", *overrides: str) -> AIRRecipe:
    """The recipe of that name or path, with ``key=value`` overrides."""
    return load_recipe(AIRRecipe, recipe_path(name_or_path), overrides)
