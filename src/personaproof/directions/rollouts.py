"""The model's own answers, in order, judged."""

from __future__ import annotations

from collections.abc import Sequence

from personaproof.core import Completion, Conversation, Job, Sampling
from personaproof.engines import TransformersEngine


def rollouts(
    engine: TransformersEngine,
    conversations: Sequence[Conversation],
    sampling: Sampling,
    *,
    seed: int = 0,
    samples: int = 1,
) -> list[Completion]:
    """`samples` answers to each conversation, those of one conversation next to each other.

    Raises GenerationError where a prompt does not fit the context.
    """
    jobs = [Job(conversation, sampling, seed, index) for conversation in conversations for index in range(samples)]
    answers: dict[int, Completion] = {}
    for batch in engine.plan(jobs):
        answers.update(zip(batch, engine.generate_batch([jobs[i] for i in batch]), strict=True))
    return [answers[i] for i in range(len(jobs))]
