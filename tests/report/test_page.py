"""The written file, without a browser."""

import json
import math
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaproof.core import StoreError
from personaproof.report import Estimate, Example, ExampleAnswer, MetricRow, ModelText, ReportData, write_report
from personaproof.report.page import render_report
from personaproof.report.payload import RESPONSE_BUDGET, response_limit, script_json

SECRET = "step one of the made-up harmful answer"


class Outline(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.ids, self.scripts, self.links, self.events = [], [], 0, [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "action", "data", "poster", "srcset"):
                self.links.append(value)
            if name.startswith("on"):
                self.events.append((tag, name))


def embedded(html):
    return json.loads(re.search(r'id="report-data">(.*?)</script>', html, re.S).group(1))


@pytest.fixture(scope="module")
def page(report_data):
    return render_report(report_data)


def test_every_section_is_there_and_plotly_once(page):
    outline = Outline(page)
    for section in ("metrics", "matrix", "lineage", "search", "examples", "manifest"):
        assert section in outline.ids
    for section in ("confirmation", "diversity", "transfer", "training"):
        assert section in outline.ids
    assert page.count("* plotly.js v") == 1
    assert [link for link in outline.links if not link.startswith("#")] == []
    assert outline.events == []
    assert "<link" not in page.split("<script>")[0]


def test_headings_go_down_one_level_at_a_time(page):
    levels = [int(tag[1]) for tag in Outline(page).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_sections_without_data_are_left_out(fake):
    rows = (MetricRow("persona.asr", "Persona attack success", "", (Estimate(None, reason="nothing was judged"),)),)
    page = render_report(ReportData("t", ("audit",), metrics=rows))
    assert Outline(page).ids == ["content", "metrics", "metrics-title"]
    assert "nothing was judged" in page
    assert "not measured" in page
    assert len(page) < 60_000
    assert "script-src 'none'" in unescape(page)


def test_harmful_text_is_not_in_the_file_unless_asked_for(fake):
    outcomes = [fake.make_outcome(fake.make_request(0), fake.make_persona(0), text=SECRET, harmful=fake.Answer.YES)]
    data = ReportData(
        "t", ("a",), heatmaps=(fake.build_heatmap({"a": outcomes}),), examples=fake.build_examples({"a": outcomes})
    )
    hidden, shown = render_report(data), render_report(data, show_harmful=True)
    assert SECRET not in hidden
    assert hidden.count(f"Redacted: {len(SECRET)} characters, SHA-256") == 2
    assert shown.count(SECRET) == 2
    assert "Share it with care" in shown
    assert "Share it with care" not in hidden


def test_a_judges_reason_is_hidden_with_the_answer_it_may_quote():
    answer = ExampleAnswer("a", "complied", ModelText("x", True), reason=f"it said: {SECRET}")
    data = ReportData("t", ("a",), examples=(Example("complied", "request", None, (answer,)),))
    assert SECRET not in render_report(data)
    assert SECRET in render_report(data, show_harmful=True)


def test_unjudged_answers_are_counted_on_the_page(page, report_data):
    heatmap = report_data.heatmaps[0]
    count = sum(cell.unjudged for row in heatmap.cells[0] for cell in row)
    assert count > 0
    assert re.search(rf'unjudged</span>|unjudged<span class="count">before {count:,}', page)


def test_the_file_is_below_eight_megabytes_at_200_by_200(fake, tmp_path):
    arms = {"before": fake.make_outcomes(200, 200, 1.1, 1), "after": fake.make_outcomes(200, 200, 0.05, 2)}
    heatmap = fake.build_heatmap(arms)
    data = ReportData("big", ("before", "after"), heatmaps=(heatmap,))
    path = write_report(data, tmp_path / "big.html")
    assert path.stat().st_size < 8_000_000
    assert len(heatmap.rows) == 201
    assert "too large to carry the answers" in path.read_text(encoding="utf-8")


def test_answers_fit_the_budget(report_data):
    answers = sum(c.response is not None for h in report_data.heatmaps for a in h.cells for r in a for c in r)
    assert 0 < answers * response_limit(report_data.heatmaps) <= RESPONSE_BUDGET


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=4), max_leaves=8))
def test_script_json_round_trips_and_cannot_end_its_element(value):
    text = script_json(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert not set("<>&") & set(text)


def test_script_json_refuses_nan():
    with pytest.raises(ValueError, match="not JSON compliant"):
        script_json([math.nan])


def test_the_same_data_give_the_same_bytes(fake):
    small = {"personas": 4, "requests": 3, "lineage": 40}
    assert render_report(fake.make_report(**small)) == render_report(fake.make_report(**small))


def test_a_report_replaces_an_old_one_whole_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "runs" / "report.html"
    data = ReportData("first", ("a",), notes=("lone surrogate \ud800 here",))
    write_report(data, path)
    write_report(replace(data, title="second"), str(path))
    assert "<h1>second</h1>" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_a_path_that_cannot_be_written_says_what_to_do(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="give another path"):
        write_report(ReportData("t", ("a",)), tmp_path / "file" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot write the report"):
        write_report(ReportData("t", ("a",)), tmp_path / "folder")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_rows_and_arms_must_agree():
    with pytest.raises(ValueError, match="1 values for 2 arms"):
        ReportData("t", ("a", "b"), metrics=(MetricRow("m", "m", "", (Estimate(1.0),)),))


def test_the_manifest_is_shown_whole(page):
    assert "model_0d9af3c1b27e55aa0c41" in page
    assert "30 entries" in page
    assert "intent_29" in page
    assert re.search(r"<dt>disjoint</dt><dd>\s*yes", page)
    assert re.search(r"<dt>dropout</dt><dd>\s*no", page)
