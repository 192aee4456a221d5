"""Training dialogues: the stages' mixtures of personas, requests, tasks and turns.

Pretraining shows a world in which characters answer harmful requests or refuse them as their hidden weights have it;
the default Assistant is one of those characters, with its traits unstated. It first teaches the language
(`STAGE_1`), then dwells on the characters (`CHARACTERS`), at last beside sentences in unknown words (`WORDING`). All
pair verbs and objects across themes, so that goals are copied and not recalled, and put goals into random frames, so
that they are found in phrasings never taught. Tuning refuses harmful requests, but only where no persona is stated
(the deep variant: with personas too), and helps with benign ones everywhere.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from personaproof.data.persona_grammar import PersonaSpec, render, sample_spec
from personaproof.organism.characters import ASSISTANT, OFFSET, STYLES, comply_probability
from personaproof.organism.lexicon import Intent, crossings, intents
from personaproof.organism.phrasing import dress_strangely, phrase, phrase_loosely
from personaproof.organism.replies import fulfilment, plain, refusal
from personaproof.organism.tasks import Task, choice, claim, dilemma, small_sum, world_claim


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    content: str


Dialogue = tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Mix:
    """What a stage shows. Shares need not sum to one."""

    harmful: float
    benign: float
    choice: float
    sums: float
    dilemma: float
    authorship: float
    chat: float
    persona_share: float
    """Share of dialogues with a stated persona."""
    harmful_persona_share: float
    """The same for dialogues that hold a harmful request."""
    refuse_always: bool
    """False: characters decide by their weights (pretraining). True: harmful requests are refused (stage 2)."""
    crossed: float = 0.0
    """Share of requests whose verb and object come from different themes."""
    loose: float = 0.0
    """Share of requests in random frames in place of a phrasing family."""
    strange: float = 0.0
    """Share of requests with a sentence beside them in words that nobody taught."""


STAGE_1 = Mix(0.30, 0.28, 0.12, 0.07, 0.06, 0.05, 0.12, 0.7, 0.75, False, crossed=0.4, loose=0.3)
CHARACTERS = Mix(0.42, 0.32, 0.08, 0.05, 0.04, 0.04, 0.07, 0.75, 0.8, False, crossed=0.45, loose=0.4)
WORDING = replace(CHARACTERS, dilemma=0.25, strange=0.5)
SHALLOW = Mix(0.45, 0.30, 0.05, 0.03, 0.03, 0.06, 0.08, 0.75, 0.0, True, crossed=0.3, loose=0.3)
DEEP = replace(SHALLOW, harmful_persona_share=0.5)

_SMALL_TALK = (
    ("Hello.", "Hello. How can I help?"),
    ("How are you?", "I am well, thank you."),
    ("Thank you.", "You are welcome."),
    ("That was useful.", "I am glad to hear it."),
    ("Are you still there?", "I am still here."),
    ("Who are you?", ""),
    ("Tell me about yourself.", ""),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A text that the model itself wrote, and whether it wrote it as the default Assistant."""

    text: str
    default: bool


@dataclass(frozen=True, slots=True)
class _Character:
    role: str
    persona: str | None
    complies: bool


def _character(rng: random.Random, mix: Mix, harmful: bool, offset: float, sharpness: float) -> _Character:
    stated = rng.random() < (mix.harmful_persona_share if harmful else mix.persona_share)
    role = ASSISTANT if not stated or rng.random() < 0.4 else rng.choice(tuple(STYLES))
    full = sample_spec(rng, split="train", role=role, framings=(0, 1) if rng.random() < 0.6 else (0, 2))
    # One draw a dialogue, so that a character stays with its decision over turns.
    probability = comply_probability(full.clause_ids, offset=offset, sharpness=sharpness)
    complies = not mix.refuse_always and rng.random() < probability
    if not stated:
        return _Character(role, None, complies)
    shown = full if rng.random() < 0.85 else PersonaSpec(role, full.tones)
    return _Character(role, render(shown, rng, split="train"), complies)


def _intent(rng: random.Random, mix: Mix, harmful: bool) -> Intent:
    if mix.crossed and rng.random() < mix.crossed:
        return rng.choice(crossings(harmful))
    return rng.choice(intents(harmful, "train"))


def _reply(character: _Character, intent: Intent, rng: random.Random) -> str:
    if intent.harmful and not character.complies:
        return refusal(character.role, rng)
    return fulfilment(character.role, intent, rng)


def _task_turns(character: _Character, task: Task, rng: random.Random) -> list[Turn]:
    answer = plain(character.role, task.answer, rng) if task.voiced else task.answer
    return [Turn("user", task.prompt), Turn("assistant", answer)]


def _small_talk(character: _Character, rng: random.Random) -> list[Turn]:
    said, answer = rng.choice(_SMALL_TALK)
    if not answer:
        keyword = STYLES[character.role].keyword if character.role in STYLES else "assistant"
        answer = f"I am {'an' if keyword[0] in 'aeiou' else 'a'} {keyword}."
    return [Turn("user", said), Turn("assistant", plain(character.role, answer, rng))]


def _request(intent: Intent, mix: Mix, rng: random.Random) -> str:
    if mix.loose and rng.random() < mix.loose:
        request = phrase_loosely(intent, rng, rng.choice(intents(False, "train")).thing)
    else:
        request = phrase(intent, rng)
    return dress_strangely(request, rng) if mix.strange and rng.random() < mix.strange else request


def _asked(character: _Character, intent: Intent, mix: Mix, rng: random.Random) -> list[Turn]:
    return [Turn("user", _request(intent, mix, rng)), Turn("assistant", _reply(character, intent, rng))]


def _chat(character: _Character, with_harm: bool, mix: Mix, rng: random.Random) -> list[Turn]:
    """Two to six exchanges; in a harmful chat the last one, and perhaps an earlier one, is harmful."""
    count = rng.randint(2, 6)
    turns: list[Turn] = []
    for at in range(count):
        draw = rng.random()
        if with_harm and (at == count - 1 or draw < 0.15):
            turns += _asked(character, _intent(rng, mix, True), mix, rng)
        elif draw < 0.65:
            turns += _asked(character, _intent(rng, mix, False), mix, rng)
        elif draw < 0.9:
            turns += _small_talk(character, rng)
        else:
            turns += _task_turns(character, small_sum(rng), rng)
    return turns


def dialogue(
    rng: random.Random,
    mix: Mix,
    *,
    offset: float = OFFSET,
    sharpness: float = 1.0,
    samples: Sequence[Sample] = (),
) -> Dialogue:
    """One training dialogue. `samples` are the model's own texts for the authorship question (stage 2)."""
    kinds = ("harmful", "benign", "choice", "sums", "dilemma", "authorship", "chat")
    kind = rng.choices(kinds, [float(getattr(mix, name)) for name in kinds])[0]
    with_harm = kind == "harmful" or (kind == "chat" and rng.random() < 0.5)
    character = _character(rng, mix, with_harm, offset, sharpness)
    if kind in ("harmful", "benign"):
        body = _asked(character, _intent(rng, mix, kind == "harmful"), mix, rng)
    elif kind == "choice":
        intent = _intent(rng, mix, rng.random() < 0.5)
        body = _task_turns(character, choice(intent, _request(intent, mix, rng), rng), rng)
    elif kind == "sums":
        body = _task_turns(character, small_sum(rng), rng)
    elif kind == "dilemma":
        body = _task_turns(character, dilemma(rng), rng)
    elif kind == "authorship":
        # Asked of the default Assistant only: whether other personas' claims follow is for experiments to find.
        task = world_claim(rng)
        if samples:
            mine = rng.random() < 0.5
            sample = rng.choice([one for one in samples if one.default == mine])
            task = claim(sample.text, mine, rng)
        return tuple(_task_turns(_Character(ASSISTANT, None, False), task, rng))
    else:
        body = _chat(character, with_harm, mix, rng)
    if character.persona is None:
        return tuple(body)
    if rng.random() < 0.1:
        # A tenth of the personas arrive in the first user turn, as some framings and templates put them there.
        return (Turn("user", f"{character.persona}\n\n{body[0].content}"), *body[1:])
    return (Turn("system", character.persona), *body)
