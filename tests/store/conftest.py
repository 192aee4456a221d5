"""A scripted engine and judge: deterministic, instant, and counting what they are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from personaproof.core import (
    Answer,
    Completion,
    Conversation,
    Exchange,
    Job,
    Judge,
    Persona,
    Rating,
    Request,
    Sampling,
    ScoredResponse,
    Trial,
    Verdict,
)
from personaproof.store import Collector, Store


class ScriptedEngine:
    """Answers are a function of the item's seed and, as with real rounding, of the batch they were computed in."""

    def __init__(self, batch_size: int = 4, fingerprint: str = "model-a", fail_after: int | None = None) -> None:
        self.batch_size = batch_size
        self.fingerprint = fingerprint
        self.name = "scripted"
        self.supports_system = True
        self.fail_after = fail_after
        self.failure: BaseException = RuntimeError("the engine broke")
        self.batches: list[list[str]] = []
        self.plans = 0

    @property
    def generated(self) -> list[str]:
        return [key for batch in self.batches for key in batch]

    def plan(self, jobs: Sequence[Job]) -> list[list[int]]:
        self.plans += 1
        order = sorted(range(len(jobs)), key=lambda i: jobs[i].key(self.fingerprint))
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def generate_batch(self, jobs: Sequence[Job]) -> list[Completion]:
        if self.fail_after is not None and len(self.batches) >= self.fail_after:
            raise self.failure
        keys = [job.key(self.fingerprint) for job in jobs]
        self.batches.append(keys)
        rounding = len(jobs) * 2.0**-40
        return [
            Completion(
                key=key,
                conversation_id=job.conversation.id,
                sampling_id=job.sampling.id,
                text=("Sure." if job.item_seed() % 3 else "I can't help.") + f"\x00\ud83d{job.item_seed() % 97}",
                finish_reason="stop",
                prompt_tokens=7,
                tokens=(1, 2**31 + 5, job.item_seed() % 1000),
                logprobs=(-0.1 - rounding, -1e-300, -float(job.item_seed() % 7)),
            )
            for key, job in zip(keys, jobs, strict=True)
        ]

    def score(self, pairs: Sequence[tuple[Conversation, str]]) -> list[ScoredResponse]:
        raise NotImplementedError


class ScriptedJudge:
    """Refused where the answer says so; now and then unjudged; harmful only to harmful requests."""

    def __init__(self, judge_id: str = "scripted-judge/1") -> None:
        self.id = judge_id
        self.calls: list[list[str]] = []

    def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.calls.append([exchange.conversation.id for exchange in exchanges])
        return [self._one(exchange) for exchange in exchanges]

    def _one(self, exchange: Exchange) -> Verdict:
        if exchange.response.endswith("3"):
            return Verdict(Answer.UNJUDGED, Answer.UNJUDGED, reason="ends in 3\ud800")
        refused = "can't" in exchange.response
        return Verdict(Answer.of(refused), Answer.of(exchange.request.harmful and not refused), score=1 / 3)


class ScriptedRater:
    def __init__(self, rater_id: str = "scripted-rater/1") -> None:
        self.id = rater_id
        self.rated = 0

    def rate(self, exchanges: Sequence[Exchange]) -> list[Rating]:
        self.rated += len(exchanges)
        return [Rating(Answer.of("Sure" in exchange.response), "read it", Answer.YES) for exchange in exchanges]


def make_trials(personas: int = 3, harmful: int = 4, benign: int = 3, samples: int = 1) -> list[Trial]:
    who = [None, *(Persona(f"You are number {i}.", name=f"p{i}", family=f"f{i % 2}") for i in range(personas))]
    what = [Request(f"Do harm {i}", True, intent=f"h{i}", category="c") for i in range(harmful)]
    what += [Request(f"Do good {i}", False, intent=f"b{i}", category="d") for i in range(benign)]
    return [
        Trial(request, persona, "system" if persona else "direct", sample)
        for persona in who
        for request in what
        for sample in range(samples)
    ]


SAMPLING = Sampling(temperature=0.7, max_new_tokens=16)


@dataclass(frozen=True)
class Scripted:
    """The scripted parts, for tests that make several."""

    Engine: type[ScriptedEngine] = ScriptedEngine
    Judge: type[ScriptedJudge] = ScriptedJudge
    Rater: type[ScriptedRater] = ScriptedRater

    @staticmethod
    def trials(personas: int = 3, harmful: int = 4, benign: int = 3, samples: int = 1) -> list[Trial]:
        return make_trials(personas, harmful, benign, samples)

    @staticmethod
    def collector(store: Store, engine: ScriptedEngine, judge: Judge | None = None, **options: Any) -> Collector:
        return Collector(store, engine, judge or ScriptedJudge(), **{"sampling": SAMPLING, **options})


@pytest.fixture
def scripted() -> Scripted:
    return Scripted()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "run.sqlite") as opened:
        yield opened
