"""The report in a real browser without network: it draws, it asks for nothing, and no text of a model runs."""

import http.server
import json
import threading
from dataclasses import replace

import pytest

from personaproof.report import (
    Example,
    ExampleAnswer,
    Headline,
    ModelText,
    Plot,
    Point,
    ReportData,
    Section,
    Series,
    Table,
    build_comparison,
    build_confirmation,
    build_heatmap,
    build_lineage,
    build_metric_rows,
    build_search_curve,
    build_training_curves,
    build_transfer,
    write_comparison,
    write_report,
)


@pytest.fixture(scope="module")
def report_path(report_data, tmp_path_factory):
    return write_report(report_data, tmp_path_factory.mktemp("report") / "report.html")


def settled(browser, path):
    """Nothing but the file itself was asked for, and nothing was complained about."""
    assert browser.requested() == [path.as_uri()]
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (390, "light")])
def test_all_plots_are_drawn_offline_and_nothing_overflows(chromium, report_path, report_data, width, scheme):
    chromium.open(report_path, width, 900, scheme)
    assert chromium.run("document.documentElement.dataset.plots") == "drawn"
    figures = sum(len(section.plots) for section in report_data.sections)
    plots = 2 + 1 + 1 + 1 + len(report_data.training) + figures
    assert chromium.run("document.querySelectorAll('.plot .main-svg').length") >= plots
    assert chromium.run("document.querySelectorAll('.plot').length") == plots
    assert chromium.run("document.documentElement.scrollWidth") <= width
    links = "[...document.querySelectorAll('[src],[href]')].map(e => e.getAttribute('src') || e.getAttribute('href'))"
    assert [link for link in chromium.run(links) if not link.startswith(("#", "data:image/"))] == []
    settled(chromium, report_path)


def test_dark_scheme_changes_page_and_plots_without_reload(chromium, report_path):
    chromium.open(report_path)
    ink = "document.querySelector('.search .xtick text').style.fill + getComputedStyle(document.body).backgroundColor"
    light = chromium.run(ink)
    chromium.call("Emulation.setEmulatedMedia", media="", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    chromium.wait(f"({ink}) !== {json.dumps(light)}")


def test_the_heatmap_answers_to_mouse_and_keys(chromium, report_path, report_data):
    chromium.open(report_path)
    heatmap = report_data.heatmaps[0]
    panel = "document.querySelector('[data-heatmap-panel=\"0\"]').textContent"
    chromium.run("document.querySelector('[data-heatmap]').scrollIntoView()")
    x, y = chromium.run(
        "(() => { const r = document.querySelector('[data-heatmap] .nsewdrag').getBoundingClientRect();"
        " return [r.x + 0.5 * r.width / 40, r.y + 1.5 * r.height / 61]; })()"
    )
    chromium.mouse_to(x, y)
    for text in (heatmap.rows[1].text, heatmap.columns[0].text):
        chromium.wait(f"{panel}.includes({json.dumps(text)})")
    chromium.run("document.querySelector('[data-heatmap]').focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown"):
        chromium.press(key)
    reached = chromium.run(panel)
    assert heatmap.rows[1].text in reached
    assert heatmap.columns[1].text in reached
    # The harmful answers are not in the page at all.
    assert "First you walk the quay" not in chromium.run("document.documentElement.textContent")


def test_runs_can_be_shown_one_by_one(chromium, report_path):
    chromium.open(report_path)
    count = "document.querySelector('[data-heatmap]').data.length"
    assert chromium.run(count) == 2
    chromium.run("document.querySelector('[data-heatmap-controls] button:nth-child(3)').click()")
    assert chromium.run(count) == 1
    assert chromium.run("document.querySelector('[aria-pressed=true]').textContent") == "after"


def test_the_lineage_answers_to_keys_and_shows_ancestors(chromium, report_path, report_data):
    chromium.open(report_path)
    lineage = report_data.lineages[0]
    chromium.run("document.querySelector('[data-lineage]').focus()")
    panel = "document.querySelector('[data-lineage-panel]').textContent"
    chromium.press("ArrowRight")
    assert lineage.nodes[0].text in chromium.run(panel)
    path = "document.querySelector('[data-lineage]').data[1].x.length"
    assert chromium.run(path) == 0
    with_child = next(i for i, n in enumerate(lineage.nodes) if any(e.parent == n.id for e in lineage.edges))
    same = [n for n in lineage.nodes if n.generation == 0]
    for _ in range(len(same)):
        chromium.press("ArrowDown")
    for _ in range(len(same)):
        if lineage.nodes[with_child].text in chromium.run(panel):
            break
        chromium.press("ArrowUp")
    chromium.press("ArrowRight")
    assert "1 ancestors" in chromium.run(panel) or "2 ancestors" in chromium.run(panel)
    assert chromium.run(path) >= 3


def test_the_confirmed_elites_answer_to_mouse_and_keys(chromium, report_path, report_data):
    chromium.open(report_path)
    elites = report_data.confirmations[0].compared
    plot = "document.querySelector('[data-confirmation]')"
    panel = "document.querySelector('[data-confirmation-panel]').textContent"
    marks = chromium.run(f"{plot}.data.slice(2).map(trace => trace.x.length)")
    below = sum(elite.below for elite in elites)
    assert 0 < below < len(elites)
    assert marks == [len(elites) - below, below]
    chromium.run(f"{plot}.focus()")
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "ArrowRight"):
        chromium.press(key)
    assert elites[1].text in chromium.run(panel)
    assert f"{100 * elites[1].estimate:.1f} %, confirmed {100 * elites[1].confirmed.value:.1f} %" in chromium.run(panel)
    assert chromium.run(f"{plot}.data[1].x") == [elites[1].estimate]
    chromium.run(f"{plot}.scrollIntoView({{block: 'center'}})")
    last = elites[-1]
    x, y = chromium.run(
        f"(() => {{ const e = {plot}, r = e.querySelector('.nsewdrag').getBoundingClientRect(), l = e._fullLayout;"
        f" return [r.x + l.xaxis.d2p({last.estimate}), r.y + l.yaxis.d2p({last.confirmed.value})]; }})()"
    )
    chromium.mouse_to(x, y)
    chromium.wait(f"{panel}.includes({json.dumps(last.text)})")


def test_figures_have_bands_with_gaps_labels_and_one_legend_entry_a_name(chromium, report_path):
    chromium.open(report_path)
    traces = "document.querySelector('[data-figure=\"{}\"]').data"
    curves = traces.format("validation-0")
    assert chromium.run(f"{curves}.map(t => t.fill || 'line')") == ["toself", "line", "toself", "line"]
    # 8 looks there and back make one outline; a look without a rate splits the other into 3 and 4.
    assert chromium.run(f"{curves}[0].x.length") == 2 * 8 + 1
    assert chromium.run(f"{curves}[2].x.filter(x => x === null).length") == 2
    assert chromium.run(f"{curves}[2].x.length") == 2 * 7 + 2
    assert chromium.run(f"{curves}[3].y[3]") is None
    assert chromium.run(f"{curves}[1].error_y === undefined")
    front = traces.format("validation-1")
    assert chromium.run(f"{front}[0].text[1]") == "step 15"
    assert chromium.run(f"{front}[0].error_x.array[0]") > 0
    assert chromium.run(f"{front}[0].error_y.arrayminus[0]") > 0
    bench = traces.format("bench-0")
    assert chromium.run(f"{bench}.length") == 5 * 6
    listed = chromium.run(f"{bench}.filter(t => t.showlegend).map(t => t.name)")
    assert listed == ["thompson", "ple", "persona-ga", "random", "fifth"]
    assert chromium.run(f"new Set({bench}.map(t => t.line.color)).size") == 5
    ticks = "[...document.querySelectorAll('[data-figure=\"bench-0\"] .xtick text')].map(t => t.textContent)"
    assert {"100", "1,000", "10,000"} <= set(chromium.run(ticks))


def test_a_point_between_two_gaps_keeps_its_interval(chromium, tmp_path):
    ends = (None, (0.4, 0.7), None, (0.4, 0.6), (0, 1))
    points = tuple(Point(x, 0.5 if known else None, known) for x, known in enumerate(ends))
    plot = Plot("p", "x", "y", (Series("s", points),), band=True)
    path = write_report(ReportData("t", (), sections=(Section("one", "One", "", plots=(plot,)),)), tmp_path / "r.html")
    chromium.open(path)
    line = "document.querySelector('[data-figure]').data[1]"
    assert chromium.run(f"{line}.error_y.array.map(e => Math.round(10 * e))") == [0, 2, 0, 0, 0]
    settled(chromium, path)


def test_the_heat_of_a_transferred_elite_grows_with_its_rate(chromium, report_path, report_data):
    chromium.open(report_path)
    colours = chromium.run(
        "[...document.querySelectorAll('#transfer .heat tbody tr')].map(row => [...row.cells].slice(1)"
        ".map(cell => getComputedStyle(cell).backgroundColor))"
    )
    transfer = report_data.transfer
    assert [len(row) for row in colours] == [3] * len(transfer.personas)
    by_rate = {}
    for p, row in enumerate(colours):
        for m, colour in enumerate(row):
            by_rate.setdefault(transfer.columns[m].elites[p].value, set()).add(colour)
    assert all(len(found) == 1 for found in by_rate.values())
    assert len({colour for found in by_rate.values() for colour in found}) == len(by_rate) > 5


def test_printing_uses_light_colours_and_fits_the_paper(chromium, report_path):
    chromium.open(report_path, scheme="dark")
    chromium.run("document.querySelector('[data-heatmap-controls] button:nth-child(2)').click()")
    chromium.run("window.dispatchEvent(new Event('beforeprint'))")
    assert chromium.run("document.querySelector('[data-search]')._fullLayout.font.color") == "#23262b"
    assert chromium.run("document.querySelector('[data-search]')._fullLayout.width") <= 680
    assert chromium.run("document.querySelector('[data-heatmap]').data.length") == 2
    chromium.run("window.dispatchEvent(new Event('afterprint'))")
    assert chromium.run("document.querySelector('[data-search]')._fullLayout.font.color") == "#e6e4df"


@pytest.fixture
def canary():
    """A local server that notes every request. It is reachable from the browser, so silence means nobody asked."""
    hits = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            hits.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", hits
    server.shutdown()
    thread.join()
    server.server_close()


def hostile_texts(url):
    run = "document.documentElement.dataset.pwned=1"
    return [
        f"<script>{run}</script>",
        f"</script><script>{run}</script>",
        f"</title></style></textarea><img src={url}/a onerror={run}>",
        f'"><svg onload={run}><use href="{url}/b"/></svg>',
        f"<!--<script>{run}//-->",
        f"' onmouseover='{run}' style='background:url({url}/c)'",
        f"<a href='javascript:{run}'>x</a><base href={url}><iframe srcdoc='<script>parent.{run}</script>'></iframe>",
        "{{ 7 * 7 }} {% raw %} %{x} ${1} \u2028 \u2029 \x00 \u202e",
        f"<b>bold</b><link rel=stylesheet href={url}/d><meta http-equiv=refresh content='0;url={url}/e'>",
    ]


def hostile_section(texts):
    table = Table(texts[0], tuple(texts), (tuple(texts),), texts[1])
    lines = tuple(Series(t, (Point(1, 0.5, (0.4, 0.6), label=t), Point(2, 0.4, label=t))) for t in texts)
    plot = Plot(texts[2], texts[3], texts[4], lines, caption=texts[5])
    return Section("hostile", texts[6], texts[0], (table,), (plot,), verdict=texts[1])


def hostile_report(fake, url):
    texts = hostile_texts(url)
    personas = [fake.Persona(t, name=t, family="f") for t in texts]
    outcomes = []
    for i, text in enumerate(texts):
        request = fake.Request(text, True, intent="x", category=text)
        refused = (fake.Answer.YES, fake.Answer.NO, fake.Answer.UNJUDGED)[i % 3]
        harmful = (fake.Answer.NO, fake.Answer.YES, fake.Answer.UNJUDGED)[i % 3]
        outcomes += [fake.make_outcome(request, p, refused, harmful, text, reason=text) for p in (None, *personas)]
    by_id = {p.id: p.text for p in personas}
    searched = fake.make_search(by_id)
    summary = {t: {"value": None, "ci95": None, "n": 0, "reason": t} for t in texts}
    # Core refuses a lone surrogate in a persona or request; an answer may still hold one.
    answers = tuple(ExampleAnswer(t, t, ModelText(t + "\ud800", False), t) for t in texts)
    records = [(p, [], t, i, 1, 2) for i, (p, t) in enumerate(zip(personas, texts, strict=True))]
    return ReportData(
        title=texts[1],
        subtitle=texts[2],
        arms=(texts[1], texts[3]),
        headline=Headline(texts[1], "bad", tuple(texts)),
        metrics=build_metric_rows({texts[1]: summary, texts[3]: summary}),
        heatmaps=(build_heatmap({texts[1]: outcomes, texts[3]: outcomes}, title=texts[4]),),
        lineages=(build_lineage(texts[1], records),),
        search=tuple(build_search_curve(t, [(1, 0.5, 0.4)], {"value": 0.4, "ci95": [0.3, 0.5], "n": 3}) for t in texts),
        confirmations=(build_confirmation(texts[1], searched, by_id),),
        transfer=build_transfer(fake.make_transfer(by_id, searched, *texts), {"search": by_id}),
        sections=(hostile_section(texts),),
        training=build_training_curves([{"step": 1, **dict.fromkeys(texts, 1.0)}]),
        examples=(Example(texts[0], texts[1], texts[2], answers, texts[3]),),
        notes=tuple(texts),
        manifest={t: {t: [t]} for t in texts},
    )


def test_no_text_of_a_model_runs_or_loads_anything(chromium, fake, tmp_path, canary):
    url, hits = canary
    data = hostile_report(fake, url)
    path = write_report(data, tmp_path / "hostile.html", show_harmful=True)
    chromium.open(path)
    assert chromium.run("document.documentElement.dataset.plots") == "drawn"
    chromium.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    for plot in ("[data-heatmap]", "[data-lineage]", "[data-confirmation]"):
        chromium.run(f"document.querySelector('{plot}').focus()")
        for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowRight"):
            chromium.press(key)
    chromium.run("new Promise(done => setTimeout(done, 300))")
    assert chromium.run("document.documentElement.dataset.pwned") is None
    assert chromium.run("document.title") == data.title
    # The only elements of these kinds are ours: hostile text made none.
    assert (
        chromium.run(
            "document.querySelectorAll('main iframe, main base, main meta, main link, main b, main script').length"
        )
        == 0
    )
    assert chromium.run("document.scripts.length") == 3
    assert (
        chromium.run("[...document.querySelectorAll('main a')].filter(a => a.getAttribute('href') !== null).length")
        == 0
    )
    assert "</script><script>document.documentElement.dataset.pwned=1</script>" in chromium.run(
        "document.body.innerText"
    )
    settled(chromium, path)
    assert hits == []
    chromium.open(path, width=390)
    assert chromium.run("document.documentElement.scrollWidth") <= 390


def test_even_text_that_slipped_past_escaping_could_not_run_or_load(chromium, report_data, tmp_path, canary):
    """The second line of defence, the content security policy, holds alone."""
    url, hits = canary
    path = write_report(replace(report_data, title="MARK"), tmp_path / "slipped.html")
    injected = "".join(hostile_texts(url)[:2]) + f"<img src={url}/x onerror='document.documentElement.dataset.pwned=1'>"
    path.write_text(path.read_text(encoding="utf-8").replace("<h1>MARK</h1>", f"<h1>{injected}</h1>"), encoding="utf-8")
    chromium.open(path)
    assert chromium.run("document.scripts.length") > 3
    assert chromium.run("document.documentElement.dataset.pwned") is None
    assert any("Content Security Policy" in complaint for complaint in chromium.complaints())
    assert hits == []


def test_the_comparison_page_is_quiet_too(chromium, fake, tmp_path, canary):
    url, hits = canary
    texts = hostile_texts(url)
    summary = {t: {"value": 0.5, "ci95": [0.4, 0.6], "n": 5} for t in texts}
    data = build_comparison((texts[1], summary), (texts[2], summary), {}, title=texts[3], notes=tuple(texts))
    path = write_comparison(data, tmp_path / "compare.html")
    chromium.open(path, width=390)
    assert chromium.run("document.scripts.length") == 0
    assert chromium.run("document.documentElement.scrollWidth") <= 390
    settled(chromium, path)
    assert hits == []


@pytest.mark.long
def test_a_large_matrix_stays_usable(chromium, fake, tmp_path):
    arms = {"before": fake.make_outcomes(200, 200, 1.1, 1), "after": fake.make_outcomes(200, 200, 0.05, 2)}
    data = ReportData("big", ("before", "after"), heatmaps=(build_heatmap(arms),))
    path = write_report(data, tmp_path / "big.html")
    chromium.open(path)
    chromium.run("document.querySelector('[data-heatmap]').focus()")
    for _ in range(3):
        chromium.press("ArrowDown")
    chromium.press("ArrowRight")
    assert data.heatmaps[0].rows[3].text in chromium.run("document.querySelector('.panel').textContent")
    settled(chromium, path)
