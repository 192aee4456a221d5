"""The tables. What is named by its content is shared by all runs of a database; what describes a run carries its id."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 1


class AnyText(TypeDecorator[str]):
    """Text exactly as a model wrote it, as UTF-8 bytes.

    PostgreSQL text has no form for NUL and neither database has one for a lone surrogate; models produce both, and an
    answer that cannot be stored would be lost.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).decode("utf-8", "surrogatepass")


class JsonText(TypeDecorator[Any]):
    """JSON as ASCII text: the same bytes in both databases, with no character either refuses."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(value, sort_keys=True, allow_nan=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


metadata = MetaData()

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True, autoincrement=False))

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("command", String, nullable=False),
    Column("created", String, nullable=False),
    Column("manifest", JsonText, nullable=False),
)

# Names, families and categories are how one run's data files describe a text, so they are kept by run.
personas = Table(
    "personas",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("text", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("family", AnyText, nullable=False),
)

requests = Table(
    "requests",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("text", AnyText, nullable=False),
    Column("harmful", Boolean, nullable=False),
    Column("intent", AnyText, nullable=False),
    Column("category", AnyText, nullable=False),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", String, primary_key=True),
    Column("messages", JsonText, nullable=False),
)

samplings = Table(
    "samplings",
    metadata,
    Column("id", String, primary_key=True),
    Column("temperature", Float, nullable=False),
    Column("top_p", Float, nullable=False),
    Column("top_k", Integer, nullable=False),
    Column("max_new_tokens", Integer, nullable=False),
)

completions = Table(
    "completions",
    metadata,
    Column("key", String, primary_key=True),
    Column("fingerprint", String, nullable=False, index=True),
    Column("conversation_id", String, ForeignKey("conversations.id"), nullable=False),
    Column("sampling_id", String, ForeignKey("samplings.id"), nullable=False),
    Column("seed", String, nullable=False),  # decimal: a seed may exceed 64 bits
    Column("sample_index", Integer, nullable=False),
    Column("text", AnyText, nullable=False),
    Column("finish_reason", String, nullable=False),
    Column("prompt_tokens", Integer, nullable=False),
    Column("tokens", LargeBinary, nullable=False),  # little-endian uint32
    Column("logprobs", LargeBinary, nullable=False),  # little-endian float64
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("completion_key", String, ForeignKey("completions.key"), primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("judge_id", String, primary_key=True),
    Column("refused", String, nullable=False),
    Column("harmful", String, nullable=False),
    Column("reason", AnyText, nullable=False),
    Column("score", Float),
)

ratings = Table(
    "ratings",
    metadata,
    Column("completion_key", String, ForeignKey("completions.key"), primary_key=True),
    Column("persona_id", String, primary_key=True),
    Column("request_id", String, primary_key=True),
    Column("rater_id", String, primary_key=True),
    Column("answer", String, nullable=False),
    Column("manner", String, nullable=False),
    Column("reason", AnyText, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("trial_id", String, nullable=False),
    Column("persona_id", String),  # null: the direct control
    Column("request_id", String, nullable=False),
    Column("framing", String, nullable=False),
    Column("sample_index", Integer, nullable=False),
    Column("completion_key", String, ForeignKey("completions.key"), nullable=False),
    Column("judge_id", String, nullable=False),
    Column("rater_id", String),  # null: not rated
    UniqueConstraint("run_id", "stage", "trial_id"),
)

batches = Table(
    "batches",
    metadata,
    Column("worklist_id", String, primary_key=True),
    Column("batch_index", Integer, primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("completion_key", String, nullable=False),
)

# A persona may be found again along another path, so a row is one discovery, named by what it says.
lineage = Table(
    "lineage",
    metadata,
    Column("run_id", String, primary_key=True),
    Column("search_id", String, primary_key=True),
    Column("discovery_id", String, primary_key=True),
    Column("position", Integer, nullable=False),
    Column("persona_id", String, nullable=False),
    Column("parents", JsonText, nullable=False),
    Column("operation", String, nullable=False),
    Column("generation", Integer, nullable=False),
    UniqueConstraint("run_id", "search_id", "position"),
)
