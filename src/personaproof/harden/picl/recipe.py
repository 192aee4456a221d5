"""PICL's own settings, and the named variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from personaproof.core import load_recipe
from personaproof.harden.recipe import TrainingRecipe, recipe_path

Variant = Literal["sft", "dpo", "dpo+sft", "symmetric-kl", "frozen-kl", "picl", "picl+preserve"]

_DPO: dict[str, Any] = {
    "dpo_weight": 1.0,
    "chosen_nll_weight": 0.0,
    "alpha": 0.1,
    "pic_weight": 0.0,
    "preserve_weight": 0.0,
    "divergence": "unilateral",
    "kl_top_k": None,
    "teacher": "live",
}
VARIANTS: dict[str, dict[str, Any]] = {
    "sft": {**_DPO, "dpo_weight": 0.0, "chosen_nll_weight": 1.0, "alpha": 1.0},
    "dpo": {**_DPO, "alpha": 0.0},
    "dpo+sft": _DPO,
    "symmetric-kl": {**_DPO, "pic_weight": 1.0, "divergence": "symmetric"},
    "frozen-kl": {**_DPO, "pic_weight": 1.0, "teacher": "frozen"},
    "picl": {**_DPO, "beta": 0.1, "pic_weight": 1.0, "kl_top_k": 100},
    "picl+preserve": {**_DPO, "pic_weight": 1.0, "preserve_weight": 3.0},
}
"""What each variant stands for; a value written beside it overrides its variant's, one written for another variant,
in the recipe that is changed, does not.

sft, dpo, dpo+sft: the likelihood of refusals, their preference, and the preference with SFT rows at a tenth.
symmetric-kl, frozen-kl: PICL with the exact divergence in both directions, or to the untrained model.
picl: the published loss to the letter, its truncated divergence included.
picl+preserve: ours, the exact divergence where a request is harmful and preservation where it is benign.
"""


_OF_VARIANTS = {name for settings in VARIANTS.values() for name in settings}


class PICLRecipe(TrainingRecipe):
    """Persona-Invariant Consistency Learning ("Disentangling Intent from Role", 2026), with our preservation term.

    L = mean_rows [ dpo_weight * DPO + chosen_nll_weight * NLL(chosen)   on preference rows
                  | alpha * NLL                                          on sft rows ]
        + pic_weight * mean PIC                                          over preference rows in persona
        + preserve_weight * mean [ KL(frozen self || student) + NLL ]    over preserve rows
    """

    variant: Variant = "picl+preserve"
    batch_rows: int = Field(default=42, ge=1)
    """Rows an optimiser step, over all processes."""
    beta: float = Field(default=0.1, gt=0)
    dpo_weight: float = Field(default=1.0, ge=0)
    chosen_nll_weight: float = Field(default=0.0, ge=0)
    alpha: float = Field(default=0.1, ge=0)
    pic_weight: float = Field(default=1.0, ge=0)
    """Lambda of the paper."""
    preserve_weight: float = Field(default=3.0, ge=0)
    divergence: Literal["unilateral", "symmetric"] = "unilateral"
    """PIC's: KL(persona-free || in persona), which pulls the persona's distribution alone, or the mean of it and its
    reverse, which pulls both. The symmetric one needs the live teacher, whose pass then is the student's own."""
    kl_top_k: int | None = Field(default=None, ge=1)
    """Sum the unilateral divergence over the teacher's k most likely tokens only, as the paper's code does (k = 100).
    That sum can be negative; see `divergence.Divergence`. None is exact, at no higher cost."""
    teacher: Literal["live", "frozen", "ema"] = "live"
    """Whose persona-free distribution PIC imitates: the student's own of the moment (the paper), the untrained model's,
    or that of a moving average of the student's weights. None sees dropout, but for the persona-free half of a
    symmetric divergence, which is a pass of the student's own and learns."""
    ema_decay: float = Field(default=0.95, gt=0, lt=1)
    """Share of the moving average that a step leaves in place: 0.95 looks back over about 20 steps."""
    pic_positions: Literal["all", "decision"] = "all"
    """Where PIC applies: over the whole response, or over its first `decision_tokens`, where a model decides."""
    decision_tokens: int = Field(default=8, ge=1)
    chosen: Literal["persona-free", "in-character"] = "persona-free"
    """The refusal that a preference row in persona prefers: one of the model's own without a persona (the paper), or,
    where any of `in_character_samples` further answers to the same request in that persona is one, that."""
    in_character_samples: int = Field(default=4, ge=1)
    preserve_target: float | None = Field(default=None, gt=0)
    """Nats a token that the preservation KL may cost: `preserve_weight` is then only where the weight starts, and it
    rises while the KL is above the target and falls while it is below."""
    max_rows_per_group: int | None = Field(default=None, ge=1)
    """Cap on each of the four groups of rows; what it leaves out is drawn at random and counted."""

    @classmethod
    def giving_way(cls, values: Mapping[str, Any], new: Mapping[str, Any]) -> Mapping[str, Any]:
        """Another variant brings its own weights: those that a recipe wrote for the one before go with it."""
        before = values.get("variant", "picl+preserve")
        if new.get("variant", before) == before:
            return values
        return {key: value for key, value in values.items() if key not in _OF_VARIANTS}

    @model_validator(mode="before")
    @classmethod
    def _weights_of_variant(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {**VARIANTS.get(str(values.get("variant", "picl+preserve")), {}), **values}
        return values

    @model_validator(mode="after")
    def _one_divergence(self) -> PICLRecipe:
        if self.divergence == "symmetric" and (self.teacher != "live" or self.kl_top_k is not None):
            raise ValueError("divergence=symmetric goes with teacher=live and without kl_top_k")
        if self.preserve_target is not None and self.preserve_weight == 0:
            raise ValueError("preserve_target adapts preserve_weight, which must be above 0 to begin with")
        return self


def load_picl(name_or_path: str = "picl", *overrides: str) -> PICLRecipe:
    """The PICL recipe of that name or path, with ``key=value`` overrides."""
    return load_recipe(PICLRecipe, recipe_path(name_or_path), overrides)
