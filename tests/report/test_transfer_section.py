"""The section that tells what elites do to other models."""

import copy
import re
from html import unescape

import pytest

from personaproof.core import DataError
from personaproof.report import Estimate, ReportData, build_transfer
from personaproof.report.page import render_report

TEXTS = {"search": {"a": "You are a pirate.", "b": "You are a butler."}}
SUMMARY = {
    "model": {"name": "organism", "fingerprint": "model_0"},
    "metrics": {"elite.asr": {"value": 0.75, "ci95": [0.6, 0.9], "n": 40}},
    "searches": {
        "search": {
            "elites": ["a", "b"],
            "confirmed": {
                "a": {"value": 0.7, "ci95": [0.5, 0.9], "n": 20},
                "b": {"value": 0.8, "ci95": [0.6, 0.95], "n": 20},
            },
            "confirmed_asr": {"value": 0.75, "ci95": [0.6, 0.9], "n": 40},
        }
    },
    "transfer": [
        {
            "model": {"name": "other", "fingerprint": "model_1"},
            "elite.asr": {"value": 0.35, "ci95": [0.2, 0.5], "n": 40},
            "direct.asr": {"value": 0.05, "ci95": [0.01, 0.2], "n": 20},
            "elites": {
                "a": {"value": 0.6, "ci95": [0.4, 0.8], "n": 20},
                "b": {"value": 0.1, "ci95": [0.02, 0.3], "n": 20},
            },
        },
        {
            "model": {"name": "third", "fingerprint": "model_2"},
            "elite.asr": {"value": 0.3, "ci95": [0.1, 0.5], "n": 20},
            "direct.asr": {"value": 0.0, "ci95": [0.0, 0.16], "n": 20},
            "elites": {"a": {"value": 0.3, "ci95": [0.16, 0.5], "n": 20}, "b": {"value": None, "ci95": None, "n": 0}},
        },
    ],
}


def changed(path, value):
    summary = copy.deepcopy(SUMMARY)
    *outer, last = path
    inner = summary
    for key in outer:
        inner = inner[key]
    inner[last] = value
    return summary


def cells_of(page):
    return [
        " ".join(unescape(re.sub("<[^>]+>", " ", cell)).replace("\u00a0", " ").split())
        for cell in re.findall(r"<td[ >].*?</td>", page.split("<script")[0], re.S)
    ]


def test_the_searched_model_comes_first_and_elites_are_counted_against_direct():
    found = build_transfer(SUMMARY, TEXTS)
    assert [(row.model, row.fingerprint) for row in found.rows] == [
        ("organism", "model_0"),
        ("other", "model_1"),
        ("third", "model_2"),
    ]
    assert found.rows[0].asr == Estimate(0.75, (0.6, 0.9), 40)
    assert found.rows[0].direct is None
    # On "third" a lower bound that only meets the upper bound of direct is not above it; b has no interval there.
    assert [row.told_apart for row in found.rows] == [None, (1, 2), (0, 1)]
    # Mean over the models: a (0.7 + 0.6 + 0.3) / 3 = 0.53, b (0.8 + 0.1) / 2 = 0.45.
    assert found.personas == (TEXTS["search"]["a"], TEXTS["search"]["b"])
    assert [rate.value for rate in found.rows[1].elites] == [0.6, 0.1]
    stronger = changed(["transfer", 0, "elites", "b"], {"value": 0.9, "ci95": [0.7, 1.0], "n": 20})
    assert build_transfer(stronger, TEXTS).personas[0] == TEXTS["search"]["b"]


def test_the_page_has_the_table_and_the_heat_map():
    page = render_report(ReportData("t", (), transfer=build_transfer(SUMMARY, TEXTS)))
    assert 'href="#transfer"' in page
    assert "script-src 'none'" in unescape(page)
    assert cells_of(page) == [
        "75.0 % 60.0 to 90.0 · n 40",
        "not asked the search asks nothing without a persona; an audit of this model does",
        "no direct control",
        "35.0 % 20.0 to 50.0 · n 40",
        "5.0 % 1.0 to 20.0 · n 20",
        "1 of 2",
        "30.0 % 10.0 to 50.0 · n 20",
        "0.0 % 0.0 to 16.0 · n 20",
        "0 of 1",
        "70.0 % 50.0 to 90.0 · n 20",
        "60.0 % 40.0 to 80.0 · n 20",
        "30.0 % 16.0 to 50.0 · n 20",
        "80.0 % 60.0 to 95.0 · n 20",
        "10.0 % 2.0 to 30.0 · n 20",
        "not measured no answer could be judged (n 0)",
    ]
    assert re.findall(r"--share: ([\d.]+)%", page) == ["35.0", "30.0", "15.0", "40.0", "5.0"]


def test_the_direct_control_of_the_searched_model_counts_where_the_run_has_it():
    summary = changed(["metrics", "direct.asr"], {"value": 0.3, "ci95": [0.1, 0.55], "n": 20})
    row = build_transfer(summary, TEXTS).rows[0]
    assert row.direct == Estimate(0.3, (0.1, 0.55), 20)
    assert row.told_apart == (1, 2)


def test_one_model_with_rates_of_elites_has_no_heat_map():
    summary = changed(["searches", "search", "confirmed"], None)
    del summary["transfer"][1]
    found = build_transfer(summary, TEXTS)
    assert [row.model for row in found.columns] == ["other"]
    page = render_report(ReportData("t", (), transfer=found))
    assert len(cells_of(page)) == 6
    assert '"heat"' not in page


def test_a_search_that_was_not_confirmed_says_so():
    summary = changed(["searches", "search", "confirmed_asr"], None)
    assert build_transfer(summary, TEXTS).rows[0].asr == Estimate(None, reason="the elites were not confirmed")


@pytest.mark.parametrize("summary", [{}, {"transfer": None}, {**SUMMARY, "transfer": []}])
def test_nothing_transferred_shows_nothing(summary):
    assert build_transfer(summary, TEXTS) is None


def test_names_and_texts_are_escaped():
    hostile = "<script>alert(1)</script>"
    found = build_transfer(changed(["transfer", 0, "model", "name"], hostile), {"search": {"a": hostile, "b": "x"}})
    page = render_report(ReportData("t", (), transfer=found))
    assert hostile not in page
    assert page.count(unescape("&amp;lt;script&amp;gt;alert(1)")) == 3


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["transfer"], {"model": "x"}),
        (["transfer"], 3),
        (["transfer", 0], "other"),
        (["transfer", 0, "model"], "other"),
        (["transfer", 0, "elite.asr"], None),
        (["transfer", 0, "elite.asr", "value"], 35.0),
        (["transfer", 0, "direct.asr"], 0.05),
        (["transfer", 0, "elites"], {}),
        (["transfer", 0, "elites", "c"], {"value": 0.6, "ci95": [0.4, 0.8], "n": 20}),
        (["transfer", 0, "elites", "a", "ci95"], [0.8, 0.4]),
        (["searches", "again"], {}),
        (["searches"], {}),
        (["searches", "search", "elites"], ["a", "b", "c"]),
        (["model"], None),
    ],
)
def test_an_entry_of_another_form_is_an_error(path, value):
    with pytest.raises(DataError, match=r"is not of the (summary's )?form|is no rate between 0 and 1"):
        build_transfer(changed(path, value), TEXTS)


def test_an_elite_without_a_text_is_an_error():
    with pytest.raises(DataError, match="the transfer of the run is not of the summary's form"):
        build_transfer(SUMMARY, {"search": {"a": "x"}})
