"""Two studies of one gate: closed, left as it was, and what of them can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from personaproof.core import StoreError
from personaproof.directions.gating import Cell, Kept, Outcome, compare, gate_summary
from personaproof.directions.gating.study import dose_cell, kept_study, undo_cell


def test_a_gate_that_was_closed_is_looser_and_its_changes_are_those_of_the_metrics(
    bench: Callable[..., Any], tmp_path: Path
) -> None:
    opened, closed = bench(small=True), bench(reads_direction=False, small=True)
    material = opened.material()
    Kept(tmp_path / "one").write_tensors("directions", material.tensors(), material.about)
    first = opened.run(tmp_path / "one", material)
    place = first.place
    before = kept_study(opened.recipe, opened.plan, place, 3, Kept(tmp_path / "one"))
    assert before.cells == first.cells

    given = material.direction(place.position, place.layer)
    steps: list[tuple[int, int]] = []
    at = (place.position, place.layer, place.dose)
    after = closed.run(tmp_path / "two", closed.material(given), lambda *step: steps.append(step), at)
    # Not searched: the earlier dose is taken, though nothing happens there.
    assert len(after.searched) == 1
    assert (after.place.position, after.place.layer, after.place.dose) == at
    assert all(done <= total for done, total in steps)

    found = compare(before, after)
    assert found.hold == "looser"
    assert "got looser" in found.sentence
    one = gate_summary(before, opened.engine, opened.judge)["metrics"]
    two = gate_summary(after, closed.engine, closed.judge)["metrics"]
    for name, moved in found.changes.items():
        if moved.value is not None:
            assert moved.value == pytest.approx(two[name]["value"] - one[name]["value"]), name
    assert {"effect.push.plain", "effect.undo", "base.plain.refused", "knockout.layer2.gap"} <= set(found.changes)
    # The closed model has no refusal direction.
    assert "restore.x2.late.gap" in found.left_out

    assert compare(after, before).hold == "tighter"
    same = compare(before, before)
    assert all(moved.value == 0 for moved in same.changes.values() if moved.n)
    assert "restore.x2.late.gap" in same.changes
    # So few requests cannot show that nothing changed.
    assert same.hold == "cannot tell"


def test_what_cannot_be_read_says_nothing_of_the_hold(bench: Callable[..., Any], tmp_path: Path) -> None:
    b = bench(small=True)
    before = b.run(tmp_path, b.material())
    plan, dose = b.plan, before.place.dose
    noise = Cell(plan.push.id, (Outcome.DEGENERATE,) * len(plan.push))
    undone = Cell(plan.instructed.id, (Outcome.UNJUDGED,) * len(plan.instructed))
    broken = {dose_cell("persona", dose): noise, dose_cell("random3", dose): noise, undo_cell("persona"): undone}
    found = compare(before, replace(before, cells={**before.cells, **broken}))
    assert found.hold == "cannot tell"
    assert any(reason.startswith("after:") and "no language" in reason for reason in found.reasons)
    with pytest.raises(ValueError, match="at one place and dose"):
        compare(before, replace(before, searched=(replace(before.place, dose=99.0),)))


def test_a_study_that_is_not_whole_is_not_compared(bench: Callable[..., Any], tmp_path: Path) -> None:
    b = bench(small=True)
    material, kept = b.material(), Kept(tmp_path)
    result = b.run(tmp_path, material)
    with pytest.raises(StoreError, match="no directions"):
        kept_study(b.recipe, b.plan, result.place, 3, kept)
    kept.write_tensors("directions", material.tensors(), material.about)
    (tmp_path / "cells/undo/persona.json").unlink()
    with pytest.raises(StoreError, match="no undo/persona"):
        kept_study(b.recipe, b.plan, result.place, 3, kept)
