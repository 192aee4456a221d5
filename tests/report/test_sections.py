"""Sections of tables and plots: their checks, and how they stand in the page."""

from __future__ import annotations

import json
import re
from html import unescape

import pytest

from personaproof.report import Estimate, Number, Plot, Point, ReportData, Section, Series, Table
from personaproof.report.page import render_report


def section(**changes: object) -> Section:
    return Section(**{"id": "made-up", "title": "Made up", "lead": "Of nothing.", **changes})  # type: ignore[arg-type]


def plot(*points: Point, **changes: object) -> Plot:
    return Plot("p", "x", "y", (Series("s", points),), **changes)  # type: ignore[arg-type]


def payload(page: str) -> dict[str, object]:
    found = re.search(r'id="report-data">(.*?)</script>', page, re.S)
    assert found
    return dict(json.loads(found[1]))


def cells(page: str) -> list[str]:
    found = re.findall(r"<t[dh][ >].*?</t[dh]>", page.split("<script")[0], re.S)
    return [" ".join(unescape(re.sub("<[^>]+>", " ", cell)).replace("\u00a0", " ").split()) for cell in found]


def test_every_kind_of_entry_is_told() -> None:
    rate = Estimate(0.25, (0.1, 0.4), 12)
    row = (
        "a row",
        Number(rate, percent=True, detail="of all"),
        Number(Estimate(-0.5), percent=True, signed=True),
        Number(Estimate(12_345.6, (900.0, 20_000.0), 5)),
        Number(Estimate(None, n=0, reason="nobody asked")),
    )
    page = render_report(
        ReportData("t", (), sections=(section(verdict="So it is.", tables=(Table("T", tuple("abcde"), (row,)),)),))
    )
    assert 'href="#made-up"' in page
    assert "So it is." in page
    assert "script-src 'none'" in unescape(page)
    assert cells(page)[5:] == [
        "a row",
        "25.0 % 10.0 to 40.0 · n 12 of all",
        "\u221250.0 points no interval",
        "12,346 900 to 20,000 · n 5",
        "not measured nobody asked",
    ]


def test_a_heat_table_colours_rates_only() -> None:
    table = Table(
        "T", ("a", "b", "c"), (("x", Number(Estimate(0.5), percent=True), Number(Estimate(None))),), heat=True
    )
    page = render_report(ReportData("t", (), sections=(section(tables=(table,)),)))
    assert re.findall(r"--share: ([\d.]+)%", page) == ["25.0"]


def test_a_figure_is_drawn_only_where_a_point_was_measured() -> None:
    empty, drawn = plot(Point(1.0, None)), plot(Point(1.0, 0.5, (0.4, 0.6), label="here"), Point(2.0, None))
    quiet = render_report(ReportData("t", (), sections=(section(plots=(empty,)),)))
    assert "no point was measured" in quiet
    assert "script-src 'none'" in unescape(quiet)
    page = render_report(ReportData("t", (), sections=(section(plots=(empty, drawn)),)))
    assert re.findall(r'data-figure="([^"]+)"', page.split("<script")[0]) == ["made-up-1"]
    assert payload(page)["figures"]["made-up-1"]["series"] == [  # type: ignore[index]
        {
            "name": "s",
            "faint": False,
            "x": [1.0, 2.0],
            "y": [0.5, None],
            "xci": [None, None],
            "yci": [[0.4, 0.6], None],
            "labels": ["here", ""],
        }
    ]


def test_texts_are_escaped() -> None:
    hostile = "</script><b>x</b>"
    table = Table(hostile, (hostile,), ((hostile,),), hostile)
    one = section(
        title=hostile,
        lead=hostile,
        verdict=hostile,
        tables=(table,),
        plots=(Plot(hostile, hostile, hostile, (Series(hostile, (Point(1, 1, label=hostile),)),), caption=hostile),),
    )
    page = render_report(ReportData("t", (), sections=(one,)))
    assert hostile not in page
    assert "<b>x" not in page


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: section(id="No good"), "letters, digits and hyphens"),
        (lambda: Table("T", ("a", "b"), (("only one",),)), "not one entry for each of 2"),
        (lambda: Point(float("nan"), 1.0), "not finite"),
        (lambda: Point(1.0, 1.0, (0.0, float("inf"))), "not finite"),
        (lambda: plot(Point(0.0, 1.0), x_log=True), "logarithmic axis"),
        (lambda: ReportData("t", (), sections=(section(), section())), "must differ"),
        (lambda: ReportData("t", (), sections=(section(id="search"),)), "must differ"),
    ],
)
def test_what_cannot_be_shown_is_refused(make, words) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=words):
        make()
