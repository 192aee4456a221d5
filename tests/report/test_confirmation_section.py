"""The section that holds a search's estimates against confirmed rates."""

import copy
import json
import re
from html import unescape

import pytest

from personaproof.core import Answer, Completion, DataError, Job, Outcome, Persona, Request, Sampling, Trial, Verdict
from personaproof.report import Estimate, ReportData, build_confirmation, run_report
from personaproof.report.page import render_report
from personaproof.store import Discovery, RunDirectory

TEXTS = {"a": "You are a pirate.", "b": "You are a butler.", "c": "You are a judge.", "d": "You are a poet."}
SEARCH = {
    "elites": list(TEXTS),
    "estimates": {"a": 0.9, "b": 1.0, "c": 0.7, "d": 0.8},
    "confirmed": {
        "a": {"value": 0.5, "ci95": [0.3, 0.7], "n": 20},  # below its estimate
        "b": {"value": 0.9, "ci95": [0.7, 1.0], "n": 20},  # its interval reaches the estimate
        "c": {"value": 0.8, "ci95": [0.6, 0.9], "n": 20},
        "d": {"value": None, "ci95": None, "n": 0},  # nothing could be judged
    },
    "confirmed_asr": {"value": 0.73, "ci95": [0.55, 0.85], "n": 60},
}


def cells_of(page):
    return [
        " ".join(unescape(re.sub("<[^>]+>", " ", cell)).split())
        for cell in re.findall(r"<td[ >].*?</td>", page.split("<script")[0], re.S)
    ]


def page_of(*found):
    return render_report(ReportData("t", (), confirmations=found))


def test_the_numbers_of_a_search():
    found = build_confirmation("s", SEARCH, TEXTS)
    assert [elite.text for elite in found.elites] == [TEXTS[key] for key in "badc"]
    assert [elite.below for elite in found.elites] == [False, True, False, False]
    # The elite without a confirmed rate is in neither mean.
    assert found.mean_estimate == pytest.approx((0.9 + 1.0 + 0.7) / 3)
    assert found.pooled == Estimate(0.73, (0.55, 0.85), 60)
    assert found.gap.value == pytest.approx(2.6 / 3 - 0.73)
    assert found.gap.ci95 == pytest.approx((2.6 / 3 - 0.85, 2.6 / 3 - 0.55))
    assert found.overrated == 1


def test_the_page_shows_them():
    page = page_of(build_confirmation("evolve search", SEARCH, TEXTS))
    assert 'id="confirmation"' in page
    assert 'href="#confirmation"' in page
    assert [cell.replace("\u00a0", " ") for cell in cells_of(page)[:8]] == [
        "4 3 with both numbers",
        "86.7 %",
        "73.0 % 55.0 to 85.0 · n 60",
        "+13.7 points +1.7 to +31.7",
        "1 of 3",
        "100.0 %",
        "90.0 % 70.0 to 100.0 · n 20",
        TEXTS["b"],
    ]
    drawn = json.loads(re.search(r'id="report-data">(.*?)</script>', page, re.S).group(1))["confirmations"]
    assert [(mark["estimate"], mark["value"], mark["ci95"], mark["below"]) for mark in drawn[0]] == [
        (1.0, 0.9, [0.7, 1.0], False),
        (0.9, 0.5, [0.3, 0.7], True),
        (0.7, 0.8, [0.6, 0.9], False),
    ]
    assert drawn[0][1]["told"] == "search estimate 90.0 %, confirmed 50.0 % (95 % interval 30.0 to 70.0, n 20)"


def test_a_search_without_elites_has_nothing_measured_and_no_plot():
    nothing = {"estimates": {}, "confirmed": {}, "confirmed_asr": {"value": None, "ci95": None, "n": 0}}
    page = page_of(build_confirmation("s", nothing, {}))
    assert cells_of(page)[0] == "0"
    assert cells_of(page)[1] == "not measured"
    assert cells_of(page)[4] == "0 of 0"
    assert "data-confirmation" not in page.split("<script")[0]


def test_an_estimate_that_rounding_put_beyond_one_is_one():
    search = {**SEARCH, "estimates": {**SEARCH["estimates"], "b": 1.0000000000000002}}
    assert build_confirmation("s", search, TEXTS).elites[0].estimate == 1.0


def test_texts_and_names_are_escaped():
    hostile = "<script>alert(1)</script>"
    page = page_of(build_confirmation("<b>s</b>", SEARCH, {**TEXTS, "a": hostile}))
    assert hostile not in page
    assert "<b>s</b>" not in page


def broken(path, value):
    search = copy.deepcopy(SEARCH)
    *outer, last = path
    inner = search
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return search


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["estimates"], None),
        (["estimates", "a"], float("nan")),
        (["estimates", "a"], 1.2),
        (["estimates", "a"], "high"),
        (["estimates", "e"], 0.5),
        (["confirmed"], 3),
        (["confirmed", "a"], 0.5),
        (["confirmed", "a"], None),
        (["confirmed", "a", "value"], float("nan")),
        (["confirmed", "a", "value"], 0.8),
        (["confirmed", "a", "ci95"], [0.3]),
        (["confirmed", "a", "ci95"], [0.3, float("inf")]),
        (["confirmed", "b", "ci95"], [0.7, 1.1]),
        (["confirmed_asr"], None),
    ],
)
def test_a_search_of_another_form_is_an_error(path, value):
    with pytest.raises(DataError, match=r"is not of the (summary's )?form|is no rate between 0 and 1"):
        build_confirmation("s", broken(path, value), TEXTS)


def test_an_elite_without_a_text_is_an_error():
    with pytest.raises(DataError, match="the confirmation of 's' is not of the summary's form"):
        build_confirmation("s", SEARCH, {"a": "x"})


def test_a_run_shows_it_where_its_summary_has_it(fake, tmp_path):
    persona = Persona("You are a pirate captain in a novel.")
    trial = Trial(Request("Explain.", harmful=True), persona, "system")
    job = Job(trial.conversation, Sampling())
    completion = Completion(job.key("m"), trial.conversation.id, job.sampling.id, "No.", "stop", 1)
    outcome = Outcome(trial, completion, Verdict(Answer.YES, Answer.NO))
    search = {"search_id": "s", "stage": "search", "history": [], **fake.make_search({persona.id: persona.text})}
    older = {key: value for key, value in search.items() if key not in ("estimates", "confirmed")}
    parts = fake.make_transfer({persona.id: persona.text}, search, "other")
    for name, summary in (
        ("with", parts),
        ("without", {**parts, "searches": {"search": older}, "transfer": []}),
        ("unconfirmed", {**parts, "searches": {"search": {**search, "confirmed": None}}, "transfer": None}),
    ):
        with RunDirectory.open(tmp_path / name, command="evolve", settings={"model": "m"}) as run:
            run.store.record_trials_asked([trial], [job])
            run.store.add_completions("m", [(job, completion)])
            run.store.add_verdicts("j", {(completion.key, trial.request.id): outcome.verdict})
            run.store.add_to_stage("search", "j", [outcome])
            run.store.record_lineage("s", [Discovery(persona)])
            run.write_summary({"schema_version": 1, **summary})
            data = run_report(run)
        shown = name == "with"
        assert [found.name for found in data.confirmations] == (["search search"] if shown else [])
        page = render_report(data)
        assert ('id="confirmation"' in page) == shown
        assert ('id="transfer"' in page) == shown
        if shown:
            assert data.confirmations[0].elites[0].text == data.transfer.personas[0] == persona.text
            assert [row.model for row in data.transfer.rows] == ["organism", "other"]
