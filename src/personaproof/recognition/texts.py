"""The texts: every member's own answers to the panel's questions, generated once and kept in the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from personaproof.core import Completion, DataError, GenerationError, Job, Progress, content_id
from personaproof.engines import TransformersEngine
from personaproof.recognition.panel import Panel
from personaproof.recognition.recipe import RecognizeRecipe
from personaproof.store import Store

LEAST_TEXTS = 3
"""A member with fewer texts has no claim rate to speak of."""


@dataclass(frozen=True)
class Text:
    """`tokens` are those the generator sampled, without the end of its turn; `key` names the completion."""

    generator: int
    question: int
    tokens: tuple[int, ...]
    text: str
    key: str


@dataclass(frozen=True)
class Texts:
    """`empty` and `cut_off` count, by member, answers without a word, which are left out since they say nothing of
    their writer, and answers that reached max_new_tokens, which are kept."""

    texts: tuple[Text, ...]
    empty: Mapping[str, int]
    cut_off: Mapping[str, int]


def write_texts(
    store: Store, engine: TransformersEngine, recipe: RecognizeRecipe, panel: Panel, progress: Progress
) -> Texts:
    """Every member's answers, generated or read back from the store.

    Raises DataError where a member is left with fewer than three texts, and whatever the engine and store raise.
    """
    sampling = recipe.sampling.build()
    asked = [
        (member, question, Job(panel.conversation(member, words), sampling, recipe.seed, sample))
        for member in range(len(panel.members))
        for question, words in enumerate(panel.questions)
        for sample in range(recipe.samples)
    ]
    answers = _completions(store, engine, [job for _, _, job in asked], progress)
    texts: list[Text] = []
    empty, cut_off = Counter[str](), Counter[str]()
    for (member, question, _), answer in zip(asked, answers, strict=True):
        if not answer.tokens or not answer.text.strip():
            empty[panel.names[member]] += 1
            continue
        cut_off[panel.names[member]] += answer.finish_reason == "length"
        texts.append(Text(member, question, answer.tokens, answer.text, answer.key))
    counts = Counter(text.generator for text in texts)
    if short := [name for member, name in enumerate(panel.names) if counts[member] < LEAST_TEXTS]:
        raise DataError(
            f"{', '.join(short)} wrote fewer than {LEAST_TEXTS} texts that are not empty; ask more questions, raise "
            "samples, or leave these roles out of the panel."
        )
    return Texts(tuple(texts), dict(empty), {name: n for name, n in cut_off.items() if n})


def _completions(store: Store, engine: TransformersEngine, jobs: Sequence[Job], progress: Progress) -> list[Completion]:
    """As `store.Collector` does it, without a judge: the plan is kept before anything is generated, and a batch is kept
    whole or not at all, so that an interrupted run ends with the very texts of an undisturbed one."""
    fingerprint = engine.fingerprint
    keys = [job.key(fingerprint) for job in jobs]
    job_of = dict(zip(keys, jobs, strict=True))
    store.record_trials_asked([], jobs)
    worklist = content_id("worklist", [fingerprint, sorted(job_of)])
    plan = store.load_worklist(worklist)
    if not plan:
        names = list(job_of)
        plan = [[names[i] for i in batch] for batch in engine.plan([job_of[key] for key in names])]
        store.save_worklist(worklist, plan)
    there = store.existing(job_of)
    progress(len(there), len(job_of))
    for batch in plan:
        todo = [key for key in batch if key not in there]
        if not todo:
            continue
        produced = engine.generate_batch([job_of[key] for key in todo])
        store.add_completions(fingerprint, [(job_of[each.key], each) for each in produced])
        there.update(todo)
        progress(len(there), len(job_of))
    found = store.completions(job_of)
    if missing := [key for key in keys if key not in found]:
        raise GenerationError(f"{len(missing)} texts were generated under other names; a bug of the engine.")
    return [found[key] for key in keys]
