"""From what was measured to what is compared: matrices over personas, correlations, bands, the Assistant's rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from personaproof.recognition.predictors import (
    Floats,
    bands,
    bootstrap_draws,
    correlations,
    fisher,
    interval,
    mean_over,
    pearson,
    ranks,
)
from personaproof.recognition.study import Study
from personaproof.stats import NO_DATA, Estimate

BAND_NAMES: Mapping[int, tuple[str, ...]] = {2: ("near", "far"), 3: ("near", "middle", "far")}
LEAST_EVALUATORS = 3
"""Fewer are no band to take a mean over in a sentence."""
LEAST_MASS = 0.5
"""An evaluator answers where it gives one of the two answers more often than not."""
PREDICTORS = ("asymmetric", "symmetric", "plain")
"""Evidence against the Assistant, against the text's writer, and against nothing."""


@dataclass(frozen=True, eq=False)
class Matrices:
    """Means over each generator's texts, (evaluators, generators), the Assistant first in both; and two distances of
    every persona from the Assistant.

    `surprise` is in nats a token, `claims` the mean over both orders. `information` (personas,) is the mean over a
    persona's own texts of log q_p - log q_Assistant, nats a text; `activation` (personas,) is ||h_p - h_Assistant||.
    `mass` (evaluators,) is how probable either answer was at all.
    """

    names: tuple[str, ...]
    surprise: Floats
    claims: Floats
    information: Floats
    activation: Floats
    mass: Floats

    def __post_init__(self) -> None:
        n = len(self.names)
        square = {self.surprise.shape, self.claims.shape}
        flat = {self.information.shape, self.activation.shape, self.mass.shape}
        if square != {(n, n)} or flat != {(n,)}:
            raise ValueError(f"the matrices are not of {n} personas")

    @property
    def answering(self) -> tuple[int, ...]:
        """Evaluators that give one of the two answers more often than not."""
        return tuple(int(i) for i in np.flatnonzero(self.mass >= LEAST_MASS))

    def chosen(self, names: Sequence[str]) -> Matrices:
        """Of some personas, in the order of `names`."""
        at = [self.names.index(name) for name in names]
        square = np.ix_(at, at)
        return Matrices(
            tuple(names),
            self.surprise[square],
            self.claims[square],
            self.information[at],
            self.activation[at],
            self.mass[at],
        )


def matrices(study: Study) -> Matrices:
    """The study's means."""
    surprise = by_generator(study, study.surprise / study.lengths)
    gain = study.surprise[0] - study.surprise
    information = np.array([gain[p, study.generators == p].mean() for p in range(len(study.panel.members))])
    activation = np.linalg.norm(study.activations - study.activations[0], axis=1)
    claims = by_generator(study, study.claims.mean(2))
    return Matrices(study.panel.names, surprise, claims, information, activation, study.mass.mean((1, 2)))


def by_generator(study: Study, values: Floats) -> Floats:
    """(evaluators, texts) to (evaluators, generators): means over each generator's texts."""
    return np.stack([values[:, study.generators == p].mean(1) for p in range(len(study.panel.members))], axis=1)


@dataclass(frozen=True, eq=False)
class Analysis:
    """Correlations over generators, with a bootstrap that draws generators anew. Evaluators are all but the Assistant,
    for which the asymmetric gap is zero by definition; its own row is looked at apart.

    Means are over `answering` evaluators (indices): one that says neither answer makes no claims, and the ratio of two
    tiny probabilities is not what it would have said. Bands are by `distance` (personas,): the matrices' own
    information distance, or that of another study whose bands are to hold.
    """

    matrices: Matrices
    answering: tuple[int, ...]
    distance: Floats
    number_of_bands: int
    replicates: int
    seed: int

    @cached_property
    def draws(self) -> Floats:
        return bootstrap_draws(len(self.matrices.names), self.replicates, self.seed)

    @cached_property
    def r(self) -> Floats:
        """(references, evaluators)."""
        return correlations(self.matrices.surprise, self.matrices.claims)

    @cached_property
    def drawn(self) -> Floats:
        """(replicates, references, evaluators)."""
        parts = np.array_split(self.draws, max(1, len(self.draws) // 200))
        return np.concatenate([correlations(self.matrices.surprise, self.matrices.claims, part) for part in parts])

    @cached_property
    def bands(self) -> dict[str, list[int]]:
        """Evaluators (indices into the names) by distance from the Assistant."""
        names = BAND_NAMES[self.number_of_bands]
        parts = bands(self.distance[1:], self.number_of_bands)
        return {name: [i + 1 for i in part] for name, part in zip(names, parts, strict=True)}

    def evaluators(self, band: str) -> list[int]:
        """Those of a band, or of "all", that answer; "any" is all of them, whether they answer or not."""
        members = range(1, len(self.matrices.names)) if band in ("all", "any") else self.bands[band]
        return [e for e in members if band == "any" or e in self.answering]

    @property
    def telling_band(self) -> str:
        """ "far" where enough of it answers, else "any": what a sentence of one band is about."""
        return "far" if len(self.evaluators("far")) >= LEAST_EVALUATORS else "any"

    def of_predictor(self, predictor: str) -> int:
        """Row of `r` of one of `PREDICTORS`: the writer, none, and the first persona as the reference."""
        return {"symmetric": 0, "plain": 1, "asymmetric": 2}[predictor]

    def single(self, predictor: str, evaluator: int) -> Estimate:
        """r of one evaluator with Fisher's interval."""
        value = float(self.r[self.of_predictor(predictor), evaluator])
        return NO_DATA if np.isnan(value) else fisher(value, len(self.matrices.names))

    def single_bootstrap(self, predictor: str, evaluator: int) -> Estimate:
        """r of one evaluator with the bootstrap's interval."""
        row = self.of_predictor(predictor)
        return interval(float(self.r[row, evaluator]), self.drawn[:, row, evaluator], len(self.matrices.names))

    def mean(self, row: int, band: str) -> Estimate:
        """Mean r over a band's evaluators; n counts those for which it is defined."""
        chosen = self.evaluators(band)
        n = int(np.isfinite(self.r[row, chosen]).sum())
        return interval(float(mean_over(self.r, chosen)[row]), mean_over(self.drawn, chosen)[:, row], n)

    def gain(self, row: int, other: int, band: str) -> Estimate:
        """How much larger the mean r of one reference is than another's, over evaluators where both are defined."""
        chosen = [e for e in self.evaluators(band) if np.isfinite(self.r[[row, other], e]).all()]
        if not chosen:
            return NO_DATA
        difference = self.r[row, chosen] - self.r[other, chosen]
        drawn = (self.drawn[:, row] - self.drawn[:, other])[:, chosen]
        return interval(float(difference.mean()), drawn.mean(-1), len(chosen))

    def scores(self, band: str) -> Floats:
        """(personas,): mean r over a band's evaluators with each persona as the reference."""
        return mean_over(self.r, self.evaluators(band))[2:]

    def assistant_rank(self, band: str) -> Estimate:
        """1: no persona is a better reference than the Assistant. n counts the references."""
        value = ranks(self.scores(band))[0]
        drawn = ranks(mean_over(self.drawn, self.evaluators(band))[:, 2:])[:, 0]
        return interval(float(value), drawn, len(self.matrices.names))

    def rank_for(self, evaluator: int) -> float:
        """The Assistant's rank among all references but the evaluator itself; NaN where its r is undefined."""
        return float(ranks(self.r[2:, evaluator])[0])

    def assistant_row(self) -> dict[str, Estimate]:
        """How the Assistant's own claims go with a generator's distance from it: in information (nats a text), in
        activations, and with the log-likelihood ratio H_g(x_g) - H_Assistant(x_g) a token."""
        found, claims = self.matrices, self.matrices.claims[0]
        ratio = np.diagonal(found.surprise) - found.surprise[0]
        return {
            "information": pearson(found.information, claims),
            "activation": pearson(found.activation, claims),
            "ratio": pearson(ratio, claims),
        }
