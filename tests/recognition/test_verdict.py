"""Synthetic panels whose true predictor is known, and what the study makes of them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from personaproof.recognition import Analysis, Matrices, decide, verdict
from personaproof.recognition.verdict import told
from personaproof.stats import NO_DATA, Estimate

N = 19


def synthetic(
    truth: Literal["asymmetric", "plain", "symmetric", "other", "noise"], seed: int = 0, mass: float = 1.0
) -> Matrices:
    """Personas are points; surprise grows with the distance between evaluator and writer, plus how hard each text is
    for everyone. Claims follow the evidence against the reference that `truth` names, or nothing."""
    rng = np.random.default_rng(seed)
    place = rng.normal(size=(N, 4)) * np.linspace(0.3, 2, N)[:, None]
    place[0] = 0
    between = np.linalg.norm(place[:, None] - place[None], axis=2)
    hard = rng.gamma(2, 1.5, N)
    surprise = 1 + 0.6 * between + hard[None] + rng.normal(size=(N, N)) * 0.15
    reference = {
        "asymmetric": surprise[0],
        "plain": np.zeros(N),
        "symmetric": np.diagonal(surprise),
        "other": surprise[7],
        "noise": np.zeros(N),
    }[truth]
    evidence = reference[None] - surprise
    signal = rng.normal(size=(N, N)) if truth == "noise" else evidence
    claims = 1 / (1 + np.exp(-signal + signal.mean()))
    information = 10 * (surprise[0] - np.diagonal(surprise))
    information -= information[0]
    return Matrices(tuple(f"p{i}" for i in range(N)), surprise, claims, information, between[0], np.full(N, mass))


def analysis(found: Matrices, **changes: object) -> Analysis:
    settings: dict = {
        "answering": found.answering,
        "distance": found.information,
        "number_of_bands": 3,
        "replicates": 600,
        "seed": 0,
        **changes,
    }
    return Analysis(found, **settings)


@pytest.mark.parametrize("seed", range(5))
def test_where_the_asymmetric_gap_is_true_it_comes_out_so(seed: int) -> None:
    found = analysis(synthetic("asymmetric", seed))
    assert decide(found) == "privileged"
    value = found.mean(2, "far").value
    assert value is not None
    assert value > 0.9
    assert found.assistant_rank("far").value == 1


@pytest.mark.parametrize("truth", ["plain", "symmetric", "other", "noise"])
@pytest.mark.parametrize("seed", range(5))
def test_where_it_is_not_true_it_does_not(truth: Literal["plain", "symmetric", "other", "noise"], seed: int) -> None:
    assert decide(analysis(synthetic(truth, seed))) != "privileged"


@pytest.mark.parametrize("truth", ["plain", "other"])
def test_a_clearly_better_measure_refutes_it(truth: Literal["plain", "other"]) -> None:
    answers = [decide(analysis(synthetic(truth, seed))) for seed in range(5)]
    assert answers.count("not privileged") >= 4


def test_where_the_question_is_not_answered_nothing_is_decided() -> None:
    found = analysis(synthetic("asymmetric", mass=0.1))
    said = verdict(found)
    assert said.answer == "unanswered"
    assert said.points[0].startswith("0 of 18 personas")
    assert found.mean(2, "far").n == 0
    assert found.mean(2, "any").n == 18


def test_a_band_of_which_too_few_answer_is_not_spoken_of() -> None:
    found = synthetic("asymmetric")
    far = analysis(found).bands["far"]
    two = analysis(found, answering=tuple(e for e in range(N) if e not in far[2:]))
    assert two.evaluators("far") == far[:2]
    assert two.telling_band == "any"
    assert decide(two) == "unanswered"
    three = analysis(found, answering=tuple(e for e in range(N) if e not in far[3:]))
    assert three.telling_band == "far"
    assert decide(three) == "privileged"


@pytest.mark.parametrize(("roles", "far"), [(4, 1), (8, 2)])
def test_a_panel_too_small_for_a_verdict_is_told_so_and_its_personas_are_not_blamed(roles: int, far: int) -> None:
    small = synthetic("asymmetric").chosen([f"p{i}" for i in range(roles + 1)])
    said = verdict(analysis(small))
    assert said.answer == "unanswered"
    assert f"only {far} of its {roles} personas" in said.sentence
    assert "9 personas have as many" in said.sentence
    assert (
        "6 personas" in verdict(analysis(synthetic("asymmetric").chosen(small.names[:5]), number_of_bands=2)).sentence
    )
    enough = analysis(synthetic("asymmetric").chosen([f"p{i}" for i in range(10)]))
    assert verdict(enough).answer != "unanswered"


def test_claims_against_the_evidence_are_told_as_that_where_no_other_measure_does_better() -> None:
    """Claims fall with the evidence against anything, least with that against the Assistant."""
    rng = np.random.default_rng(0)
    surprise = rng.normal(3, 0.3, (13, 13))
    evidence = (np.diag(surprise) - surprise) * 0.6 - surprise
    claims = 0.5 - 0.1 * (evidence + rng.normal(0, 0.02, (13, 13)))
    distance = np.arange(13.0)
    found = analysis(Matrices(tuple(f"p{i}" for i in range(13)), surprise, claims, distance, distance, np.ones(13)))
    said = verdict(found)
    assert said.answer == "not privileged"
    high = found.mean(2, "far").high
    assert high is not None
    assert high < 0
    assert all((found.gain(2, other, "far").value or 0) > 0 for other in (0, 1))
    assert "the less" in said.sentence
    assert "another measure" not in said.sentence
    other = verdict(analysis(synthetic("other")))
    assert other.answer == "not privileged"
    assert "another measure" in other.sentence


def test_numbers_are_told_without_a_negative_zero() -> None:
    assert told(Estimate(-0.001, -0.2, 0.104, 9), signed=True) == "0.00 (-0.20 to +0.10)"
    assert told(Estimate(0.5, None, None, 1)) == "0.50"
    assert told(NO_DATA) == "undefined"


def test_the_points_hold_the_numbers_that_decided() -> None:
    found = analysis(synthetic("asymmetric"))
    said = verdict(found)
    text = " ".join(said.points)
    value = found.mean(2, "far").value
    assert value is not None
    assert f"{value:.2f} (" in text
    assert "rank 1.00" in text


def test_bands_leave_the_assistant_out_and_far_is_far() -> None:
    found = analysis(synthetic("asymmetric"))
    assert sorted(e for members in found.bands.values() for e in members) == list(range(1, N))
    distance = found.matrices.information
    assert min(distance[found.bands["far"]]) >= max(distance[found.bands["near"]])


def test_the_gain_is_paired_and_over_evaluators_where_both_are_defined() -> None:
    found = analysis(synthetic("asymmetric"))
    chosen = found.evaluators("far")
    gain = found.gain(2, 1, "far")
    assert gain.value == pytest.approx(float((found.r[2, chosen] - found.r[1, chosen]).mean()))
    assert gain.n == len(chosen)
    # Against itself as the reference an evaluator has no evidence, so it drops out on both sides.
    assert found.gain(2, 2 + chosen[0], "far").n == len(chosen) - 1


def test_the_assistants_own_row_finds_distance_where_claims_fall_with_it() -> None:
    found = synthetic("plain")
    claims = found.claims.copy()
    claims[0] = np.exp(-found.activation)
    row = analysis(Matrices(found.names, found.surprise, claims, found.information, found.activation, found.mass))
    r = row.assistant_row()
    assert r["activation"].value == pytest.approx(float(np.corrcoef(found.activation, claims[0])[0, 1]))
    assert r["activation"].value < -0.8
    assert r["activation"].n == N
