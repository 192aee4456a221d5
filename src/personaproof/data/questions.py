"""Questions with a right answer: multiple-choice wordings, and files of dilemmas and of maths questions.

Field names are found as for requests (letter case and ``_``, ``-``, space apart). Dilemmas: the text by `DILEMMA_TEXT`,
the options as a list in `OPTIONS` or in fields of their own (``option_a``, ``option_b``, ...), the right one in `RIGHT`
as a letter, as a number from 0, or word for word. Maths: `QUESTION_TEXT` and `RIGHT`; of a worked solution that ends in
``#### 72`` the part after the mark counts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import TypeVar

from personaproof.core import DataError, content_id, normalise_text
from personaproof.data.contexts import WordingFamily
from personaproof.data.fields import find, key, label, text, text_field
from personaproof.data.load import Duplicate, Loaded, read_source
from personaproof.data.rows import Row

DILEMMA_TEXT = ("dilemma", "scenario", "situation", "question", "prompt", "context", "text")
QUESTION_TEXT = ("question", "problem", "prompt", "text")
OPTIONS = ("options", "choices")
RIGHT = ("answer", "right", "correct", "gold", "final_answer", "solution", "label", "target")
LATENT = ("intent", "family", "latent", "id", "theme")

_FORMS: dict[WordingFamily, tuple[str, ...]] = {
    "train": (
        "{question}\n\n{options}\n\nAnswer with one letter.",
        "{question} Choose one of these.\n{options}\nReply with the letter of your choice and nothing else.",
        "Read this and pick the right option.\n\n{question}\n\n{options}\n\nGive its letter alone.",
    ),
    "held_out": (
        "Which option is right?\n{options}\n\nThis is what it is about: {question}\n\nName only the letter.",
        "{question}\nYour options are below; write down a single letter.\n\n{options}",
    ),
}


@dataclass(frozen=True)
class ChoiceForm:
    """A wording of multiple-choice questions."""

    id: str
    template: str

    def render(self, question: str, options: Sequence[str]) -> str:
        """The question with its options lettered in the order given."""
        listed = "\n".join(f"{letter}) {option}" for letter, option in zip(ascii_uppercase, options, strict=False))
        # The template is cut before it is filled: a question may hold "{options}" in its own words.
        before, after = (part.replace("{question}", question) for part in self.template.split("{options}"))
        return before + listed + after


def choice_forms(family: WordingFamily) -> tuple[ChoiceForm, ...]:
    return tuple(ChoiceForm(f"choice.{family}.{at}", form) for at, form in enumerate(_FORMS[family], start=1))


def letter_turns(letters: int, forms: int, rng: random.Random) -> list[tuple[int, int]]:
    """All pairs (place of the right letter, wording), so ordered that from a drawn start the letters come round again
    and again and each meets its next wording in every round: any first few of them are as even as they can be."""
    letter, form = rng.randrange(letters), rng.randrange(forms)
    return [
        ((letter + step) % letters, (form + step + turn) % forms) for turn in range(forms) for step in range(letters)
    ]


@dataclass(frozen=True)
class Dilemma:
    """A situation with options, one of them right. Raises ValueError for fewer than two or equal options."""

    text: str
    options: tuple[str, ...]
    right: int
    latent: str = ""

    def __post_init__(self) -> None:
        if not 2 <= len({normalise_text(option).casefold() for option in self.options}) == len(self.options) <= 26:
            raise ValueError(f"a dilemma has 2 to 26 different options, not {list(self.options)}")
        if not 0 <= self.right < len(self.options):
            raise ValueError(f"the right option is one of 0 to {len(self.options) - 1}, not {self.right}")

    @cached_property
    def id(self) -> str:
        return content_id("dilemma", [normalise_text(self.text), list(self.options), self.right])


@dataclass(frozen=True)
class Question:
    """A maths question and its right answer, a number or a formula."""

    text: str
    answer: str
    latent: str = ""

    @cached_property
    def id(self) -> str:
        return content_id("question", [normalise_text(self.text), self.answer])


def load_dilemmas(source: str | Path) -> Loaded[Dilemma]:
    """Dilemmas from a path, ``pack:NAME`` or ``hf:...``. Raises DataError, with the place, for a row that is none, and
    for one that differs from an earlier one in nothing but the right option."""
    table = read_source(source)
    column = text_field(table.rows[0], DILEMMA_TEXT, None)

    def build(row: Row) -> Dilemma:
        options = _options(row)
        try:
            return Dilemma(text(row, column), options, _right_option(row, options), label(row, LATENT))
        except ValueError as error:
            raise DataError(f"{row.place}: {error}.") from None

    items, duplicates = _unique(table.rows, build, lambda one: (normalise_text(one.text), frozenset(one.options)))
    return Loaded(items, table.source, table.sha256, column, duplicates)


def load_questions(source: str | Path) -> Loaded[Question]:
    """Maths questions with their answers from a path, ``pack:NAME`` or ``hf:...``; errors as `load_dilemmas`."""
    table = read_source(source)
    column = text_field(table.rows[0], QUESTION_TEXT, None)

    def build(row: Row) -> Question:
        solution = label(row, RIGHT)
        answer = solution.rpartition("####")[2].strip()
        if not answer:
            raise DataError(f"{row.place}: no right answer; it goes into one of the fields {', '.join(RIGHT)}.")
        return Question(text(row, column), answer, label(row, LATENT))

    items, duplicates = _unique(table.rows, build, lambda one: normalise_text(one.text))
    return Loaded(items, table.source, table.sha256, column, duplicates)


Item = TypeVar("Item", Dilemma, Question)


def _unique(
    rows: Sequence[Row], build: Callable[[Row], Item], asked: Callable[[Item], Hashable]
) -> tuple[tuple[Item, ...], tuple[Duplicate, ...]]:
    """Items unique by id, the first of each; `asked` is what two items must not have in common otherwise."""
    kept: dict[Hashable, tuple[Row, Item]] = {}
    duplicates = []
    for row in rows:
        item = build(row)
        first_row, first = kept.setdefault(asked(item), (row, item))
        if first is item:
            continue
        if first.id != item.id:
            raise DataError(f"{row.place}: asks the same as {first_row.place} with another right answer; mend one.")
        duplicates.append(Duplicate(item.id, first_row.place, row.place))
    return tuple(item for _, item in kept.values()), tuple(duplicates)


def _options(row: Row) -> tuple[str, ...]:
    column = find(row, OPTIONS)
    if column is None:
        names = [name for name in row.fields if re.fullmatch(r"(?:option|choice)[a-z0-9]", key(name))]
        found = [row.fields[name] for name in names if row.fields[name] not in (None, "")]
    else:
        value = row.fields[column]
        if not isinstance(value, list):
            raise DataError(f"{row.place}: {column!r} must be a list of options, not a {type(value).__name__}.")
        found = value
    if not found:
        raise DataError(f"{row.place}: no options; put a list into 'options', or fields 'option_a', 'option_b', ...")
    if not all(isinstance(option, str) for option in found):
        raise DataError(f"{row.place}: every option must be a text, unlike {found!r}.")
    return tuple(normalise_text(option) for option in found)


def _right_option(row: Row, options: Sequence[str]) -> int:
    """The place of the right option: named word for word, else by its letter, else by its number from 0."""
    said = label(row, RIGHT)
    named = [at for at, option in enumerate(options) if option.casefold() == said.casefold()]
    if named:
        return named[0]
    if len(said) == 1 and said.upper() in ascii_uppercase[: len(options)]:
        return ascii_uppercase.index(said.upper())
    if said.isdecimal() and int(said) < len(options):
        return int(said)
    raise DataError(
        f"{row.place}: the right option is {said!r}, which is none of the {len(options)}; give its letter, its number "
        f"from 0 or its words in one of the fields {', '.join(RIGHT)}."
    )
