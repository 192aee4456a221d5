"""What the elites of one search do to other models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from personaproof.core import DataError
from personaproof.report.build import read_rate
from personaproof.report.data import Estimate


@dataclass(frozen=True)
class TransferRow:
    """One model. `asr` is pooled over the elites, `direct` the same requests without a persona; `elites[p]` is the rate
    of persona p of the table, and empty where elites have no rates of their own. `direct` None was not asked."""

    model: str
    fingerprint: str
    asr: Estimate
    direct: Estimate | None
    elites: tuple[Estimate, ...]

    @property
    def told_apart(self) -> tuple[int, int] | None:
        """(elites whose lower bound is above the upper bound of `direct`, elites that have an interval); None where
        there is nothing to hold against each other."""
        bounds = [elite.ci95[0] for elite in self.elites if elite.ci95]
        if self.direct is None or self.direct.ci95 is None or not bounds:
            return None
        return sum(low > self.direct.ci95[1] for low in bounds), len(bounds)


@dataclass(frozen=True)
class Transfer:
    """`rows[0]` is the model the search ran on. `personas` are the elites' texts, highest mean rate over the models
    first."""

    personas: tuple[str, ...]
    rows: tuple[TransferRow, ...]

    def __post_init__(self) -> None:
        if any(len(row.elites) not in (0, len(self.personas)) for row in self.rows):
            raise ValueError(f"a row of the transfer table has not one rate for each of {len(self.personas)} personas")

    @property
    def columns(self) -> tuple[TransferRow, ...]:
        """Models on which each elite has a rate of its own."""
        return tuple(row for row in self.rows if row.elites)


def build_transfer(summary: Mapping[str, Any], texts: Mapping[str, Mapping[str, str]]) -> Transfer | None:
    """From a run's summary: its "transfer", its one search and its "model"; None where nothing was transferred.

    `texts` are persona texts by search and persona id. Raises DataError where an entry is not of the summary's form,
    where it tells of other elites than the search's, or where it is not clear which search it belongs to.
    """
    entries = summary.get("transfer")
    if entries is None or entries == []:
        return None
    try:
        ((name, search),) = summary["searches"].items()
        found = [_row(entry["model"], entry["elite.asr"], entry["direct.asr"], entry["elites"]) for entry in entries]
        rows = [_source(summary, search), *found]
        ids = list(search["elites"])
        if any(rates.keys() != set(ids) for _, rates in rows if rates is not None):
            raise ValueError("a model has rates of other elites than the search's")
        measured = [rates for _, rates in rows if rates is not None]
        ids.sort(key=lambda key: (-_mean([rates[key] for rates in measured]), texts[name][key]))
        personas = tuple(texts[name][key] for key in ids)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"the transfer of the run is not of the summary's form: {error!r}; search again.") from error
    return Transfer(
        personas,
        tuple(
            TransferRow(*of_model, () if rates is None else tuple(rates[key] for key in ids))
            for of_model, rates in rows
        ),
    )


_Row = tuple[tuple[str, str, Estimate, Estimate | None], dict[str, Estimate] | None]
"""What a model's row says of it, and the rates of its elites by persona id."""


def _row(model: Mapping[str, str], asr: Any, direct: Any, elites: Mapping[str, Any]) -> _Row:
    name = model["name"]
    return (
        (
            name,
            model["fingerprint"],
            read_rate(f"elite ASR on {name}", asr),
            read_rate(f"direct ASR on {name}", direct),
        ),
        {key: read_rate(f"ASR of {key} on {name}", rate) for key, rate in elites.items()},
    )


def _source(summary: Mapping[str, Any], search: Mapping[str, Any]) -> _Row:
    """The row of the model searched on, as far as the search was confirmed and the direct control was run there."""
    model, asr, elites = summary["model"], search["confirmed_asr"], search.get("confirmed")
    direct = summary["metrics"].get("direct.asr")
    return (
        (
            model["name"],
            model["fingerprint"],
            Estimate(None, reason="the elites were not confirmed") if asr is None else read_rate("confirmed ASR", asr),
            # `evolve` puts no request without a persona to the model it searches; other commands may have.
            None if direct is None else read_rate("direct.asr", direct),
        ),
        None if elites is None else {key: read_rate(f"confirmed ASR of {key}", e) for key, e in elites.items()},
    )


def _mean(rates: list[Estimate]) -> float:
    """Mean of the rates that were measured; -1, below all rates, where none was."""
    known = [rate.value for rate in rates if rate.value is not None]
    return math.fsum(known) / len(known) if known else -1.0
