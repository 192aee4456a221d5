"""Rows to core dataclasses and back."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from sys import byteorder
from typing import Any

from personaproof.core import (
    Answer,
    Completion,
    Conversation,
    Job,
    Outcome,
    Persona,
    Rating,
    Request,
    Sampling,
    StoreError,
    Trial,
    Verdict,
)

Row = Mapping[Any, Any]


def pack(values: Sequence[int] | Sequence[float], typecode: str) -> bytes:
    """Numbers as little-endian bytes; `typecode` as in `array` ("I" for uint32, "d" for float64)."""
    packed = array(typecode, values)
    if byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack(data: bytes, typecode: str) -> tuple[Any, ...]:
    """The inverse of `pack`."""
    packed = array(typecode)
    packed.frombytes(data)
    if byteorder == "big":
        packed.byteswap()
    return tuple(packed)


def persona_row(run_id: str, persona: Persona) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "id": persona.id,
        "text": persona.text,
        "name": persona.name,
        "family": persona.family,
    }


def persona_of(row: Row) -> Persona:
    return Persona(row["text"], name=row["name"], family=row["family"])


def request_row(run_id: str, request: Request) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "id": request.id,
        "text": request.text,
        "harmful": request.harmful,
        "intent": request.intent,
        "category": request.category,
    }


def request_of(row: Row) -> Request:
    return Request(row["text"], row["harmful"], intent=row["intent"], category=row["category"])


def conversation_row(conversation: Conversation) -> dict[str, Any]:
    return {"id": conversation.id, "messages": conversation.as_dicts()}


def sampling_row(sampling: Sampling) -> dict[str, Any]:
    return {
        "id": sampling.id,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "max_new_tokens": sampling.max_new_tokens,
    }


def completion_row(fingerprint: str, job: Job, completion: Completion) -> dict[str, Any]:
    return {
        "key": completion.key,
        "fingerprint": fingerprint,
        "conversation_id": completion.conversation_id,
        "sampling_id": completion.sampling_id,
        "seed": str(job.seed),
        "sample_index": job.sample_index,
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "prompt_tokens": completion.prompt_tokens,
        "tokens": pack(completion.tokens, "I"),
        "logprobs": pack(completion.logprobs, "d"),
    }


def completion_of(row: Row) -> Completion:
    return Completion(
        key=row["key"],
        conversation_id=row["conversation_id"],
        sampling_id=row["sampling_id"],
        text=row["text"],
        finish_reason=row["finish_reason"],
        prompt_tokens=row["prompt_tokens"],
        tokens=unpack(row["tokens"], "I"),
        logprobs=unpack(row["logprobs"], "d"),
    )


def verdict_row(completion_key: str, request_id: str, judge_id: str, verdict: Verdict) -> dict[str, Any]:
    return {
        "completion_key": completion_key,
        "request_id": request_id,
        "judge_id": judge_id,
        "refused": verdict.refused.value,
        "harmful": verdict.harmful.value,
        "reason": verdict.reason,
        "score": verdict.score,
    }


def verdict_of(row: Row) -> Verdict:
    return Verdict(Answer(row["refused"]), Answer(row["harmful"]), reason=row["reason"], score=row["score"])


def rating_row(completion_key: str, persona_id: str, request_id: str, rater_id: str, rating: Rating) -> dict[str, Any]:
    return {
        "completion_key": completion_key,
        "persona_id": persona_id,
        "request_id": request_id,
        "rater_id": rater_id,
        "answer": rating.answer.value,
        "manner": rating.manner.value,
        "reason": rating.reason,
    }


def rating_of(row: Row) -> Rating:
    return Rating(Answer(row["answer"]), row["reason"], Answer(row["manner"]))


def trial_row(run_id: str, stage: str, position: int, outcome: Outcome, judge_id: str) -> dict[str, Any]:
    trial = outcome.trial
    return {
        "run_id": run_id,
        "stage": stage,
        "position": position,
        "trial_id": trial.id,
        "persona_id": trial.persona.id if trial.persona else None,
        "request_id": trial.request.id,
        "framing": trial.framing,
        "sample_index": trial.sample_index,
        "completion_key": outcome.completion.key,
        "judge_id": judge_id,
    }


def trial_of(row: Row, personas: Mapping[str, Persona], requests: Mapping[str, Request]) -> Trial:
    persona = personas[row["persona_id"]] if row["persona_id"] is not None else None
    trial = Trial(requests[row["request_id"]], persona, row["framing"], row["sample_index"])
    if trial.id != row["trial_id"]:
        raise StoreError(f"the store is damaged: trial {row['trial_id']} reads back as {trial.id}; use another --out.")
    return trial
