"""Stages: the ordered trials of one part of a run ("audit", "search", "before"), so that its matrix reads back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from personaproof.core import Outcome, Persona, Rating, Request, StoreError, suggest
from personaproof.store import queries, rows
from personaproof.store import schema as tables

_trials = tables.trials


def _in_stage(run_id: str, stage: str) -> ColumnElement[bool]:
    return and_(_trials.c.run_id == run_id, _trials.c.stage == stage)


def names(connection: Connection, run_id: str) -> list[str]:
    """Names of the run's stages, sorted."""
    return sorted(connection.scalars(select(_trials.c.stage).where(_trials.c.run_id == run_id).distinct()))


def append(connection: Connection, run_id: str, stage: str, judge_id: str, outcomes: Sequence[Outcome]) -> None:
    """Append trials the stage does not hold yet; StoreError where one is there with another completion or judge."""
    unique = {outcome.trial.id: outcome for outcome in outcomes}
    here = select(_trials).where(_in_stage(run_id, stage))
    known = {row.trial_id: row for row in queries.where_in(connection, here, _trials.c.trial_id, unique)}
    for trial_id, row in known.items():
        if (row.completion_key, row.judge_id) != (unique[trial_id].completion.key, judge_id):
            raise StoreError(
                f"stage {stage!r} of this run already holds trial {trial_id} with another completion or judge "
                f"({row.judge_id}); a changed model, sampling, seed or judge needs another --out."
            )
    length = connection.scalar(select(func.count()).select_from(_trials).where(_in_stage(run_id, stage))) or 0
    fresh = [outcome for trial_id, outcome in unique.items() if trial_id not in known]
    found = [
        rows.trial_row(run_id, stage, position, outcome, judge_id)
        for position, outcome in enumerate(fresh, start=length)
    ]
    if found:
        connection.execute(insert(_trials), found)


def mark_rated(connection: Connection, run_id: str, stage: str, rater_id: str, trial_ids: Iterable[str]) -> None:
    """Note whose ratings these trials carry; StoreError for a trial that is not in the stage or is another rater's."""
    wanted = list(dict.fromkeys(trial_ids))
    here = select(_trials.c.trial_id, _trials.c.rater_id).where(_in_stage(run_id, stage))
    known = {row.trial_id: row.rater_id for row in queries.where_in(connection, here, _trials.c.trial_id, wanted)}
    for trial_id in wanted:
        if trial_id not in known:
            raise StoreError(f"trial {trial_id} is not part of stage {stage!r}; collect it before rating it.")
        if known[trial_id] not in (None, rater_id):
            raise StoreError(
                f"stage {stage!r} was already rated by {known[trial_id]}; another rater needs another --out."
            )
    for start in range(0, len(wanted), queries.CHUNK):
        chosen = _trials.c.trial_id.in_(wanted[start : start + queries.CHUNK])
        connection.execute(update(_trials).where(_in_stage(run_id, stage), chosen).values(rater_id=rater_id))


def outcomes(
    connection: Connection, run_id: str, stage: str, personas: Mapping[str, Persona], requests: Mapping[str, Request]
) -> list[Outcome]:
    """The stage's outcomes in order; StoreError for a stage that is not there."""
    verdicts, completions = tables.verdicts, tables.completions
    judged = and_(
        verdicts.c.completion_key == _trials.c.completion_key,
        verdicts.c.request_id == _trials.c.request_id,
        verdicts.c.judge_id == _trials.c.judge_id,
    )
    query = (
        select(_trials, completions, verdicts.c.refused, verdicts.c.harmful, verdicts.c.reason, verdicts.c.score)
        .join_from(_trials, completions, completions.c.key == _trials.c.completion_key)
        .join(verdicts, judged)
        .where(_in_stage(run_id, stage))
        .order_by(_trials.c.position)
    )
    found: list[Outcome] = []
    for row in connection.execute(query):
        fields: Mapping[Any, Any] = row._mapping
        trial = rows.trial_of({column.name: fields[column] for column in _trials.c}, personas, requests)
        completion = rows.completion_of({column.name: fields[column] for column in completions.c})
        found.append(Outcome(trial, completion, rows.verdict_of(fields)))
    if not found:
        known = names(connection, run_id)
        advice = suggest(stage, known) if known else "it holds none yet; run its command first."
        raise StoreError(f"this run has no stage {stage!r}; {advice}")
    return found


def ratings(connection: Connection, run_id: str, stage: str) -> dict[str, Rating]:
    """The ratings of the stage's rated trials, by trial id."""
    table = tables.ratings
    rated = and_(
        table.c.completion_key == _trials.c.completion_key,
        table.c.persona_id == _trials.c.persona_id,
        table.c.request_id == _trials.c.request_id,
        table.c.rater_id == _trials.c.rater_id,
    )
    query = (
        select(_trials.c.trial_id, table.c.answer, table.c.manner, table.c.reason)
        .join_from(_trials, table, rated)
        .where(_in_stage(run_id, stage))
        .order_by(_trials.c.position)
    )
    return {row.trial_id: rows.rating_of(row._mapping) for row in connection.execute(query)}
