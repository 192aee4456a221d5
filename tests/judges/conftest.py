"""An engine that answers by script, in batches of its own order, as real ones do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from personaproof.core import Completion, Conversation, Engine, Job, ModelError, ScoredResponse

Script = Callable[[Conversation], str]


class ScriptedEngine:
    def __init__(self, script: Script, *, fingerprint: str = "f1", supports_system: bool = True) -> None:
        self.script = script
        self.name = "scripted"
        self.fingerprint = fingerprint
        self.supports_system = supports_system
        self.asked: list[Job] = []

    def plan(self, jobs: Sequence[Job]) -> list[list[int]]:
        backwards = sorted(range(len(jobs)), key=lambda i: jobs[i].conversation.id, reverse=True)
        return [backwards[i : i + 3] for i in range(0, len(backwards), 3)]

    def generate_batch(self, jobs: Sequence[Job]) -> list[Completion]:
        self.asked.extend(jobs)
        return [
            Completion(job.key(self.fingerprint), job.conversation.id, job.sampling.id, self.script(job.conversation),
                       "stop", 1)
            for job in jobs
        ]  # fmt: skip

    def score(self, pairs: Sequence[tuple[Conversation, str]]) -> list[ScoredResponse]:
        raise ModelError("a scripted engine cannot score")


@pytest.fixture
def scripted() -> Callable[..., Engine]:
    return ScriptedEngine
