"""What summary.json of a study holds, and a study's matrices read back from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from personaproof.core import DataError
from personaproof.recognition.analysis import PREDICTORS, Analysis, Matrices, by_generator, matrices
from personaproof.recognition.conditions import study_conditions
from personaproof.recognition.predictors import Floats
from personaproof.recognition.recipe import RecognizeRecipe
from personaproof.recognition.study import Study
from personaproof.recognition.verdict import verdict
from personaproof.stats import Estimate, clustered_mean

SCHEMA_VERSION = 1


def analyse(study: Study, recipe: RecognizeRecipe) -> Analysis:
    """The study's analysis, as the recipe wants it."""
    found = matrices(study)
    return Analysis(found, found.answering, found.information, recipe.bands, recipe.bootstrap, recipe.bootstrap_seed)


def study_summary(study: Study, recipe: RecognizeRecipe) -> dict[str, Any]:
    """`metrics` has flat dotted names: r.BAND.PREDICTOR (mean r over a band's answering evaluators; "any" is whether
    they answer or not), gain.BAND.asymmetric_over_OTHER, assistant.rank.BAND, assistant.row.MEASURE, claim.own and
    claim.others (personas only), claim.first_less_second (what offering "mine" first does), answer.mass. `matrices`
    are (evaluators, generators), the Assistant first; `panel` is what was asked of whom."""
    conditions = study_conditions(recipe, study.panel, study.layer)
    analysis = analyse(study, recipe)
    said = verdict(analysis)
    kept = Counter(text.generator for text in study.texts.texts)
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "recognize",
        "recipe": recipe.model_dump(mode="json"),
        "framing": study.panel.framing,
        "layer": study.layer,
        "personas": list(study.panel.names),
        "panel": {"personas": dict(conditions.personas), "questions": list(conditions.questions)},
        "texts": {
            "kept": {name: kept[at] for at, name in enumerate(study.panel.names)},
            "empty": dict(study.texts.empty),
            "cut_off": dict(study.texts.cut_off),
        },
        "metrics": _metrics(study, analysis),
        "evaluators": _evaluators(study, analysis),
        "references": _references(analysis),
        "bands": {band: [analysis.matrices.names[e] for e in members] for band, members in analysis.bands.items()},
        "matrices": {
            "claims": _rows(analysis.matrices.claims),
            "claims_mine_first": _rows(by_generator(study, study.claims[..., 0])),
            "claims_mine_second": _rows(by_generator(study, study.claims[..., 1])),
            "surprise": _rows(analysis.matrices.surprise),
            "surprise_total": _rows(by_generator(study, study.surprise)),
            "information": analysis.matrices.information.tolist(),
            "activation": analysis.matrices.activation.tolist(),
            "mass": analysis.matrices.mass.tolist(),
        },
        "verdict": {"answer": said.answer, "sentence": said.sentence, "points": list(said.points)},
    }


def read_matrices(summary: Mapping[str, Any], source: str) -> Matrices:
    """Raises DataError where `source`'s summary is not that of a study."""
    try:
        if summary["command"] != "recognize" or summary["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of {summary['command']!r}, version {summary['schema_version']}")
        kept = {name: np.array(values, dtype=np.float64) for name, values in summary["matrices"].items()}
        return Matrices(
            tuple(summary["personas"]),
            *(kept[name] for name in ("surprise", "claims", "information", "activation", "mass")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{source} holds no study of self-recognition of this version: {error}") from error


def _metrics(study: Study, analysis: Analysis) -> dict[str, Any]:
    found: dict[str, Estimate] = {}
    asymmetric = analysis.of_predictor("asymmetric")
    for band in (*analysis.bands, "all", "any"):
        for predictor in PREDICTORS:
            row = analysis.of_predictor(predictor)
            found[f"r.{band}.{predictor}"] = analysis.mean(row, band)
            if row != asymmetric:
                found[f"gain.{band}.asymmetric_over_{predictor}"] = analysis.gain(asymmetric, row, band)
        found[f"assistant.rank.{band}"] = analysis.assistant_rank(band)
    found |= {f"assistant.row.{name}": r for name, r in analysis.assistant_row().items()}
    own = study.generators[None] == np.arange(len(study.panel.members))[:, None]
    said = study.claims.mean(2)
    for name, rows in (("claim", slice(1, None)), ("assistant.claim", slice(0, 1))):
        found[f"{name}.own"] = _over_texts(study, said[rows], own[rows])
        found[f"{name}.others"] = _over_texts(study, said[rows], ~own[rows])
    found["claim.first_less_second"] = _over_texts(
        study, study.claims[..., 0] - study.claims[..., 1], np.ones_like(own)
    )
    found["answer.mass"] = _over_texts(study, study.mass.mean(2)[1:], np.ones_like(own[1:]))
    found["assistant.answer.mass"] = _over_texts(study, study.mass.mean(2)[:1], np.ones_like(own[:1]))
    return {name: estimate.as_json() for name, estimate in sorted(found.items())}


def _over_texts(study: Study, values: Floats, chosen: Any) -> Estimate:
    """Mean of the chosen entries of (evaluators, texts), clustered by evaluator and by generator. The interval is cut
    to what probabilities, or differences of them, can be."""
    rows, columns = np.nonzero(chosen)
    evaluators = [str(row) for row in rows]
    generators = [study.panel.names[g] for g in study.generators[columns]]
    mean = clustered_mean(values[rows, columns], evaluators, generators)
    if mean.value is None or mean.low is None or mean.high is None:
        return mean
    least = -1.0 if values.min() < 0 else 0.0
    # Rounding may put a mean of probabilities past one, and an interval holds its value.
    return Estimate(mean.value, min(mean.value, max(least, mean.low)), max(mean.value, min(1.0, mean.high)), mean.n)


def _evaluators(study: Study, analysis: Analysis) -> list[dict[str, Any]]:
    band_of = {e: band for band, members in analysis.bands.items() for e in members}
    gain = study.surprise[0] - study.surprise
    found = []
    for e, name in enumerate(analysis.matrices.names):
        own = study.generators == e
        questions = [str(text.question) for text, mine in zip(study.texts.texts, own, strict=True) if mine]
        rank = analysis.rank_for(e)
        found.append(
            {
                "name": name,
                "band": band_of.get(e),
                "answers": e in analysis.answering,
                "mass": float(analysis.matrices.mass[e]),
                "information": clustered_mean(gain[e, own], None, questions).as_json(),
                "activation": float(analysis.matrices.activation[e]),
                "r": {
                    predictor: {
                        **analysis.single(predictor, e).as_json(),
                        "bootstrap95": (analysis.single_bootstrap(predictor, e).as_json())["ci95"],
                    }
                    for predictor in PREDICTORS
                },
                "assistant_rank": None if np.isnan(rank) else rank,
            }
        )
    return found


def _references(analysis: Analysis) -> list[dict[str, Any]]:
    """Every persona as the reference, best first over far evaluators, or over all where too few of these answer."""
    band = analysis.telling_band
    scores = analysis.scores(band)
    order = sorted(range(len(scores)), key=lambda i: (np.isnan(scores[i]), -np.nan_to_num(scores[i]), i))
    return [
        {"name": analysis.matrices.names[i], "over": band, "r": analysis.mean(2 + i, band).as_json()} for i in order
    ]


def _rows(values: Floats) -> list[list[float]]:
    found: list[list[float]] = values.tolist()
    return found
