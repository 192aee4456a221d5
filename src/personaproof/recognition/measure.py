"""One evaluator at a time: how surprised it is by every text, and whether it says that it wrote it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from personaproof.core import ModelError, Progress
from personaproof.engines import Prompts, TransformersEngine
from personaproof.recognition.panel import Panel
from personaproof.recognition.recipe import ClaimQuestion
from personaproof.recognition.shared import Path, common_opening, score_shared, shared_response_means
from personaproof.recognition.texts import Text


@dataclass(frozen=True)
class Claims:
    """For each text, with "mine" offered first and second: the probability of "mine" among the two answers, and that of
    either answer at all."""

    mine: tuple[tuple[float, float], ...]
    mass: tuple[tuple[float, float], ...]


def surprise(
    engine: TransformersEngine, panel: Panel, evaluator: int, texts: Sequence[Text], progress: Progress | None = None
) -> list[float]:
    """H_e(x) = -log q_e(x | its question), nats a text: each text's negative log-likelihood as the evaluator's own
    answer to the question it answered. The end of the turn is not part of a text."""
    return [-math.fsum(row) for row in score_shared(engine, text_paths(engine, panel, evaluator, texts), progress)]


def text_paths(engine: TransformersEngine, panel: Panel, member: int, texts: Sequence[Text]) -> list[Path]:
    """Each text behind its question as put to the member. Segments: what all the member's prompts open with, the rest
    of the prompt, the text."""
    prompts = engine.prompt_tokens([panel.conversation(member, words) for words in panel.questions])
    asked = [tuple(prompts[text.question]) for text in texts]
    # At least one token stays behind the opening, as its prediction opens the text.
    opening = min(common_opening(asked), min(map(len, asked)) - 1)
    return [
        (prompt[:opening], prompt[opening:], text.tokens) if opening else (prompt, text.tokens)
        for prompt, text in zip(asked, texts, strict=True)
    ]


def claims(
    engine: TransformersEngine,
    panel: Panel,
    evaluator: int,
    texts: Sequence[Text],
    question: ClaimQuestion,
    progress: Progress | None = None,
) -> Claims:
    """Whether the evaluator says that it wrote each text, from the probabilities of both answers as whole token
    sequences at the start of its turn.

    Raises ModelError where an answer has no tokens of its own.
    """
    conversations = [
        panel.conversation(evaluator, question.ask(text.text, mine_first=first))
        for text in texts
        for first in (True, False)
    ]
    prompts = [tuple(prompt) for prompt in engine.prompt_tokens(conversations)]
    # An answer is tokenised where it stands; what stands before it, the opening of the turn, is always the same.
    pairs = [(conversations[0], question.mine), (conversations[0], question.other)]
    _, answers = Prompts(engine.tokenizer, engine.name).tokenise_responses(pairs)
    mine, other = (tuple(answer) for answer in answers)
    if not mine or not other or mine == other:
        raise ModelError(f"the answers {question.mine!r} and {question.other!r} are not two different texts for it.")
    scores = [math.fsum(row) for row in score_shared(engine, _claim_paths(prompts, (mine, other)), progress)]
    found_mine, found_mass = [], []
    for at in range(0, len(scores), 4):
        orders = [(scores[at], scores[at + 1]), (scores[at + 2], scores[at + 3])]
        found_mine.append(tuple(_share(me, them) for me, them in orders))
        found_mass.append(tuple(math.exp(me) + math.exp(them) for me, them in orders))
    return Claims(tuple((a, b) for a, b in found_mine), tuple((a, b) for a, b in found_mass))


def mean_response(
    engine: TransformersEngine, panel: Panel, member: int, texts: Sequence[Text], layer: int
) -> list[float]:
    """h_p, (width,): the mean activation at `layer` over the tokens of the member's own texts, in its own context; each
    text counts alike."""
    own = [text for text in texts if text.generator == member]
    means = shared_response_means(engine, text_paths(engine, panel, member, own), [layer])
    found: list[float] = means[:, 0].mean(0).tolist()
    return found


def _claim_paths(prompts: Sequence[tuple[int, ...]], answers: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Path]:
    """Both answers to the two orders of every text, in that order. Segments: the evaluator's opening, the text up to
    where the orders part, the rest, the answer."""
    pairs = list(zip(prompts[::2], prompts[1::2], strict=True))
    parting = [min(common_opening(pair), min(map(len, pair)) - 1) for pair in pairs]
    opening = min(common_opening(prompts), min(parting) - 1)
    paths: list[Path] = []
    for pair, part in zip(pairs, parting, strict=True):
        for prompt in pair:
            context = (prompt,) if opening < 1 else (prompt[:opening], prompt[opening:part], prompt[part:])
            paths += [(*context, answer) for answer in answers]
    return paths


def _share(mine: float, other: float) -> float:
    """exp(mine) / (exp(mine) + exp(other)), for log-probabilities of any size."""
    gap = other - mine
    return 1 / (1 + math.exp(gap)) if gap <= 0 else math.exp(-gap) / (1 + math.exp(-gap))
