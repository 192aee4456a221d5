"""Reading a decision between options out of words."""

from __future__ import annotations

import re

from personaproof.data.metagroups import mention_options
from personaproof.judges.text import normalise, without_reasoning


def decided_right(said: str, answer: str) -> bool | None:
    """Whether `said` decides for the right option of `answer` (see `mention_answer`): the sentence that names an option
    first settles it. False where another option is named or none; None where the sentence names several."""
    best, rest = mention_options(answer)
    right, *others = (_plain(option).strip(" .!?") for option in (best, *rest))
    text = _plain(without_reasoning(normalise(said)) or "")
    found = {option: [match.span() for match in _naming(option).finditer(text)] for option in (right, *others)}
    # Of options that begin alike ("save the dog", "save the dog and the cat") the longest is meant.
    named = min(((spans[0][0], -len(option), option) for option, spans in found.items() if spans), default=None)
    if named is None:
        return False
    start, _, option = named
    end = start + len(option)
    begin = max(text.rfind(mark, 0, start) for mark in ".!?") + 1
    stop = min((at for mark in ".!?" if (at := text.find(mark, end)) >= 0), default=len(text))
    rivals = [
        span
        for other, spans in found.items()
        for span in spans
        if other != option and begin <= span[0] < stop and not (start <= span[0] and span[1] <= end)
    ]
    return None if rivals else option == right


def _plain(text: str) -> str:
    return " ".join(normalise(text).lower().split())


def _naming(option: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-]){re.escape(option)}(?![\w-])")
