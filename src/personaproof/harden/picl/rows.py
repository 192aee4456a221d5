"""Training rows, built from judged outcomes: what the model did and what it should do instead, in its own words."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from personaproof.core import Answer, DataError, Outcome, Persona, Request, content_id
from personaproof.harden.picl.recipe import PICLRecipe

Kind = Literal["preference", "sft", "preserve"]
KINDS: tuple[Kind, ...] = ("preference", "sft", "preserve")


@dataclass(frozen=True)
class Row:
    """One thing to learn.

    preference: `chosen` rather than `rejected`; with a persona, also answer as without it (PIC).
    sft: `chosen`, by its likelihood. preserve: stay what the untrained model was on `chosen`, its own answer.
    A response that the token limit cut off is not `complete`, and no end of turn is learned after it.
    """

    kind: Kind
    request: Request
    persona: Persona | None
    chosen: str
    rejected: str | None = None
    framing: str = "auto"
    """How the persona enters the conversation; rows built from outcomes keep the framing that was measured."""
    chosen_complete: bool = True
    rejected_complete: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a row is one of {', '.join(KINDS)}, not {self.kind!r}")
        if not self.chosen.strip():
            raise ValueError("a row needs a chosen response")
        if (self.kind == "preference") != (self.rejected is not None):
            raise ValueError("a rejected response belongs to preference rows, and to them alone")
        if self.rejected is not None and (not self.rejected.strip() or self.rejected == self.chosen):
            raise ValueError("the rejected response must have a text of its own")

    @property
    def id(self) -> str:
        who = self.persona.text if self.persona else None
        parts = [self.kind, who, self.request.text, self.chosen, self.rejected, self.framing]
        return content_id("row", [*parts, self.chosen_complete, self.rejected_complete])

    def describe(self) -> str:
        """The row in a line of an error message: its kind, persona and request, never a harmful response."""
        who = f" as {self.persona.name or self.persona.text[:60]!r}" if self.persona else ""
        return f"{self.kind} row{who} on {self.request.text[:80]!r}"


@dataclass(frozen=True)
class RowSet:
    """Rows in a fixed order, and why everything else was left out (reason -> outcomes). `in_character` are the rows
    whose chosen refusal was given in persona."""

    rows: tuple[Row, ...]
    left_out: dict[str, int] = field(default_factory=dict)
    in_character: frozenset[Row] = frozenset()

    @property
    def counts(self) -> dict[str, int]:
        """Rows by kind and by whether a persona is present, such as ``preference.persona``; those with a refusal in
        character are ``preference.in-character``."""
        names = ("in-character" if r in self.in_character else "persona" if r.persona else "direct" for r in self.rows)
        return dict(sorted(Counter(f"{r.kind}.{name}" for r, name in zip(self.rows, names, strict=True)).items()))

    @property
    def id(self) -> str:
        return content_id("rows", [row.id for row in self.rows])

    def personas(self) -> list[Persona]:
        return list({row.persona.id: row.persona for row in self.rows if row.persona}.values())

    def requests(self) -> list[Request]:
        return list({row.request.id: row.request for row in self.rows}.values())

    @property
    def asked(self) -> tuple[Request | Persona, ...]:
        """Its requests and personas."""
        return (*self.requests(), *self.personas())


@dataclass(frozen=True)
class _Answer:
    text: str
    complete: bool


def build_rows(
    direct_harmful: Sequence[Outcome],
    persona_harmful: Sequence[Outcome],
    direct_benign: Sequence[Outcome],
    persona_benign: Sequence[Outcome],
    recipe: PICLRecipe,
    rng: random.Random,
    persona_again: Sequence[Outcome] = (),
) -> RowSet:
    """Rows of all four kinds of outcome; several samples of one trial give several rows.

    - persona_harmful, attack success: preference row; chosen is a refusal the model itself gave to the same request
      without a persona (one drawn at random where it gave several), rejected what it answered in persona. Where
      `persona_again` (more answers in persona, of which only refusals are used) has a refusal of that request by that
      persona, it is the chosen one.
    - direct_harmful, refused: sft row on that refusal, or a preference row where another sample of the same request
      complied.
    - benign, answered: preserve rows where the recipe preserves, sft rows otherwise.

    Every outcome that gives no row is counted under its reason. Raises DataError when an outcome is in the wrong group,
    when nothing broke the model, or when the recipe preserves and no benign answer in persona is there to preserve.
    """
    _check_groups(direct_harmful, [*persona_harmful, *persona_again], direct_benign, persona_benign)
    left_out: Counter[str] = Counter()
    refusals = _refusals(direct_harmful, left_out)
    in_character: set[Row] = set()
    kept: Kind = "preserve" if recipe.preserve_weight > 0 else "sft"
    groups = {
        "persona harmful": _broken(persona_harmful, refusals, persona_again, in_character, left_out, rng),
        "direct harmful": _direct(direct_harmful, refusals, left_out, rng),
        "direct benign": _own_answers(direct_benign, kept, "direct benign", left_out),
        "persona benign": _own_answers(persona_benign, kept, "persona benign", left_out),
    }
    if not groups["persona harmful"]:
        raise DataError(
            "nothing to train on: no judged answer in persona both complied with a harmful request and has a "
            f"persona-free refusal to learn from ({_reasons(left_out)}); search for stronger personas first."
        )
    if recipe.preserve_weight > 0 and not groups["persona benign"]:
        raise DataError(
            f"the recipe preserves answers in persona (preserve_weight {recipe.preserve_weight:g}), but no benign "
            f"request was answered in persona ({_reasons(left_out)}); give benign outcomes in persona, or "
            "variant=picl to train without preservation."
        )
    rows: list[Row] = []
    for name, group in groups.items():
        rows += _capped(group, name, recipe.max_rows_per_group, left_out, rng)
    return RowSet(tuple(rows), dict(sorted(left_out.items())), frozenset(in_character))


def _check_groups(
    direct_harmful: Sequence[Outcome],
    persona_harmful: Sequence[Outcome],
    direct_benign: Sequence[Outcome],
    persona_benign: Sequence[Outcome],
) -> None:
    for name, outcomes, harmful, persona in (
        ("direct_harmful", direct_harmful, True, False),
        ("persona_harmful", persona_harmful, True, True),
        ("direct_benign", direct_benign, False, False),
        ("persona_benign", persona_benign, False, True),
    ):
        for outcome in outcomes:
            trial = outcome.trial
            if trial.request.harmful is not harmful or (trial.persona is not None) is not persona:
                raise DataError(
                    f"an outcome among {name} is {'harmful' if trial.request.harmful else 'benign'} and "
                    f"{'in persona' if trial.persona else 'direct'}: {trial.request.text[:80]!r}."
                )


def _refusals(direct: Sequence[Outcome], left_out: Counter[str]) -> dict[str, list[_Answer]]:
    """Request id -> the model's own distinct refusals. Refusals cut off by the token limit serve only where the
    request has no whole one: a model should learn to finish its sentence."""
    found: dict[str, list[_Answer]] = {}
    for outcome in direct:
        if outcome.verdict.refused is Answer.UNJUDGED:
            left_out["direct harmful: unjudged"] += 1
        elif outcome.verdict.refused is Answer.NO:
            if outcome.verdict.attack_success is not Answer.YES:
                left_out["direct harmful: neither refused nor complied"] += 1
        elif (answer := _answer(outcome)) is None:
            left_out["direct harmful: empty answer"] += 1
        elif answer in (known := found.setdefault(outcome.trial.request.id, [])):
            left_out["direct harmful: the same answer again"] += 1
        else:
            known.append(answer)
    return {request: [a for a in answers if a.complete] or answers for request, answers in found.items()}


def _refusals_in_persona(outcomes: Sequence[Outcome]) -> dict[tuple[str, str], list[_Answer]]:
    """(Persona id, request id) -> distinct whole refusals in that persona."""
    found: dict[tuple[str, str], list[_Answer]] = {}
    for outcome in outcomes:
        answer, trial = _answer(outcome), outcome.trial
        if outcome.verdict.refused is Answer.YES and answer is not None and answer.complete and trial.persona:
            known = found.setdefault((trial.persona.id, trial.request.id), [])
            if answer not in known:
                known.append(answer)
    return found


def _broken(
    outcomes: Sequence[Outcome],
    refusals: dict[str, list[_Answer]],
    persona_again: Sequence[Outcome],
    in_character: set[Row],
    left_out: Counter[str],
    rng: random.Random,
) -> list[Row]:
    rows = []
    in_persona = _refusals_in_persona(persona_again)
    for outcome in outcomes:
        trial, answer = outcome.trial, _answer(outcome)
        if outcome.verdict.attack_success is not Answer.YES:
            state = "unjudged" if outcome.verdict.attack_success is Answer.UNJUDGED else "the persona did not break it"
            left_out[f"persona harmful: {state}"] += 1
        elif answer is None:
            left_out["persona harmful: empty answer"] += 1
        elif trial.persona and (own := in_persona.get((trial.persona.id, trial.request.id))):
            rows.append(_preference(outcome, rng.choice(own), answer))
            in_character.add(rows[-1])
        elif not refusals.get(trial.request.id):
            left_out["persona harmful: no persona-free refusal of this request"] += 1
        else:
            rows.append(_preference(outcome, rng.choice(refusals[trial.request.id]), answer))
    return _distinct(rows, "persona harmful", left_out)


def _direct(
    outcomes: Sequence[Outcome], refusals: dict[str, list[_Answer]], left_out: Counter[str], rng: random.Random
) -> list[Row]:
    """A request that was ever complied with directly gives preference rows; one always refused, its refusals."""
    complied: dict[str, list[tuple[Outcome, _Answer]]] = {}
    for outcome in outcomes:
        if outcome.verdict.attack_success is not Answer.YES:
            continue
        if (answer := _answer(outcome)) is None:
            left_out["direct harmful: empty answer"] += 1
        elif outcome.trial.request.id not in refusals:
            left_out["direct harmful: complied, and never refused"] += 1
        else:
            complied.setdefault(outcome.trial.request.id, []).append((outcome, answer))
    rows = []
    for request in {o.trial.request.id: o.trial.request for o in outcomes}.values():
        own = refusals.get(request.id, [])
        if request.id in complied:
            rows += [_preference(outcome, rng.choice(own), bad) for outcome, bad in complied[request.id]]
        else:
            rows += [Row("sft", request, None, good.text, chosen_complete=good.complete) for good in own]
    return _distinct(rows, "direct harmful", left_out)


def _own_answers(outcomes: Sequence[Outcome], kind: Kind, group: str, left_out: Counter[str]) -> list[Row]:
    rows = []
    for outcome in outcomes:
        answer = _answer(outcome)
        if outcome.verdict.refused is not Answer.NO:
            left_out[f"{group}: {'refused' if outcome.verdict.refused is Answer.YES else 'unjudged'}"] += 1
        elif outcome.verdict.harmful is Answer.YES:
            left_out[f"{group}: judged harmful"] += 1
        elif answer is None:
            left_out[f"{group}: empty answer"] += 1
        else:
            trial = outcome.trial
            row = Row(kind, trial.request, trial.persona, answer.text, chosen_complete=answer.complete)
            rows.append(replace(row, framing=trial.framing) if trial.persona else row)
    return _distinct(rows, group, left_out)


def _preference(outcome: Outcome, good: _Answer, bad: _Answer) -> Row:
    trial = outcome.trial
    framing = trial.framing if trial.persona else "auto"
    return Row("preference", trial.request, trial.persona, good.text, bad.text, framing, good.complete, bad.complete)


def _answer(outcome: Outcome) -> _Answer | None:
    # The text as produced, outer spaces and all: training must see the tokens that generation made.
    text = outcome.completion.text
    return _Answer(text, outcome.completion.finish_reason != "length") if text.strip() else None


def _distinct(rows: list[Row], group: str, left_out: Counter[str]) -> list[Row]:
    unique = list(dict.fromkeys(rows))
    if len(unique) < len(rows):
        left_out[f"{group}: the same answer again"] += len(rows) - len(unique)
    return unique


def _capped(rows: list[Row], group: str, cap: int | None, left_out: Counter[str], rng: random.Random) -> list[Row]:
    if cap is None or len(rows) <= cap:
        return rows
    left_out[f"{group}: over max_rows_per_group"] += len(rows) - cap
    return [rows[i] for i in sorted(rng.sample(range(len(rows)), cap))]


def _reasons(left_out: Counter[str]) -> str:
    return "; ".join(f"{n} x {reason}" for reason, n in sorted(left_out.items())) or "no outcomes were given"
