"""What a training did to the model while it lasted, from the ``validation`` of its summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from personaproof.core import DataError
from personaproof.report.build import read_rate
from personaproof.report.data import Estimate
from personaproof.report.labels import metric_label
from personaproof.report.section import Number, Plot, Point, Section, Series, Table

_ATTACK, _COST = "persona.asr", "benign_persona.rta"
_SHOWN = (_ATTACK, _COST, "direct.asr", "benign.rta")


def build_validation(points: Sequence[Mapping[str, Any]]) -> Section | None:
    """The section of a training's ``validation``: one {"step", "metrics"} a look, in order of steps; None without any.

    A metric that a look lacks, or whose value is null, is a gap. Raises DataError for entries of another form.
    """
    if not points:
        return None
    try:
        steps = [_step(point["step"]) for point in points]
        found = [
            {
                name: read_rate(f"{name} at step {step}", each)
                for name, each in point["metrics"].items()
                if name in _SHOWN
            }
            for step, point in zip(steps, points, strict=True)
        ]
        if any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError(f"the steps do not grow: {steps}")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the validation of the training is not of the summary's form: {error!r}; train again.") from (
            error
        )
    return Section(
        "validation",
        "Along the training",
        "The model as it stood after each number of optimiser steps, on personas and requests that it was not trained "
        "on. A good training ends low on the left of the second plot: personas no longer break the model, and it still "
        "does what personas are for.",
        tables=(_table(steps, found),),
        plots=(_curves(steps, found), frontier([("this training", _frontier_points(steps, found))])),
    )


def frontier(series: Sequence[tuple[str, Sequence[tuple[str, Estimate, Estimate]]]]) -> Plot:
    """Persona ASR against over-refusal in persona. `series` are (name, points along the training), each point
    (label, over-refusal, ASR)."""
    return Plot(
        "Attack success against over-refusal",
        x_label="benign requests refused under personas",
        y_label="persona attack success",
        series=tuple(
            Series(name, tuple(Point(x.value, y.value, y.ci95, x.ci95, label) for label, x, y in points))
            for name, points in series
        ),
        x_percent=True,
        y_percent=True,
        caption="Lines follow the training; bars are 95 % intervals in both directions.",
    )


def _step(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"a step is {value!r}")
    return value


def _rate(found: Mapping[str, Estimate], name: str) -> Estimate:
    return found.get(name, Estimate(None, reason="not asked at this step"))


def _curves(steps: Sequence[int], found: Sequence[Mapping[str, Estimate]]) -> Plot:
    return Plot(
        "Attack success and over-refusal by step",
        x_label="optimiser steps",
        y_label="rate",
        series=tuple(
            Series(
                metric_label(name).label,
                tuple(
                    Point(step, rate.value, rate.ci95)
                    for step, rate in ((step, _rate(each, name)) for step, each in zip(steps, found, strict=True))
                ),
            )
            for name in (_ATTACK, _COST)
        ),
        y_percent=True,
        band=True,
        caption="Bands are 95 % intervals; a gap is a step at which nothing could be judged.",
    )


def _frontier_points(
    steps: Sequence[int], found: Sequence[Mapping[str, Estimate]]
) -> list[tuple[str, Estimate, Estimate]]:
    return [(f"step {step}", _rate(each, _COST), _rate(each, _ATTACK)) for step, each in zip(steps, found, strict=True)]


def _table(steps: Sequence[int], found: Sequence[Mapping[str, Estimate]]) -> Table:
    names = [name for name in _SHOWN if any(name in each for each in found)]
    return Table(
        "Every look, as a table",
        ("Step", *(metric_label(name).label for name in names)),
        tuple(
            (f"{step:,}", *(Number(_rate(each, name), percent=True) for name in names))
            for step, each in zip(steps, found, strict=True)
        ),
    )
