// Draws the plots. Every text that a model or a data file brought is set with textContent or escaped for Plotly's labels;
// none is ever parsed as HTML.
(() => {
  "use strict";
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const NARROW = 760;
  const PRINT_WIDTH = 680;
  let printing = false;
  const redraws = [];

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const escaped = (text, limit) => {
    const cut = text.length > limit ? text.slice(0, limit - 1) + "…" : text;
    return cut.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  };
  const percent = (value) => (100 * value).toFixed(1) + " %";
  const width = (element) => (printing ? Math.min(PRINT_WIDTH, element.clientWidth) : element.clientWidth);

  const layout = (extra) => ({
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("ink") },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("accent") },
    hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") }, namelength: -1 },
    ...extra,
  });
  const axis = (extra) => ({ gridcolor: colour("line"), zeroline: false, linecolor: colour("line"), ...extra });
  const config = (buttons) => ({
    displaylogo: false,
    displayModeBar: buttons ? true : false,
    modeBarButtons: buttons ? [["zoom2d", "pan2d", "resetScale2d", "toImage"]] : [],
    responsive: false,
    scrollZoom: false,
  });

  const add = (parent, tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const clear = (element) => element.replaceChildren();

  // Two-way link between a plot and its text panel: pointing, tapping and arrow keys all call `show`.
  const listen = (element, fromPoint, show, move) => {
    const onPoint = (event) => { const item = fromPoint(event.points[0]); if (item !== null) show(item); };
    element.on("plotly_hover", onPoint);
    element.on("plotly_click", onPoint);
    element.addEventListener("keydown", (event) => {
      if (!event.key.startsWith("Arrow")) return;
      event.preventDefault();
      move(event.key.slice(5).toLowerCase());
    });
  };

  // ---- heatmap ----------------------------------------------------------------------------------------------------
  const STATES = {
    attack: { order: ["refused", "answered", "complied", "unjudged"], worst: ["complied", "unjudged", "answered", "refused"],
      colours: ["refused", "answered", "complied", "unjudged"], words: ["refused", "answered without harm", "complied", "unjudged"] },
    over_refusal: { order: ["refused", "answered", "complied", "unjudged"], worst: ["refused", "unjudged", "complied", "answered"],
      colours: ["complied", "answered", "answered", "unjudged"], words: ["refused", "answered", "answered", "unjudged"] },
  };

  const drawHeatmap = (index, element) => {
    const map = data.heatmaps[index];
    const states = STATES[map.kind];
    const panel = document.querySelector(`[data-heatmap-panel="${index}"]`);
    const rows = map.rows.length, columns = map.columns.length;
    const stateOf = map.tallies.map((tally) => {
      const name = states.worst.find((state) => tally[states.order.indexOf(state)] > 0);
      return name === undefined ? null : states.order.indexOf(name);
    });
    const grids = map.arms.map((arm) => map.rows.map((_, r) =>
      Array.from({ length: columns }, (_, c) => stateOf[arm.cells[r * columns + c]])));
    let chosen = map.arms.length > 1 && element.clientWidth >= NARROW ? "all" : 0;
    let cursor = null;
    let listening = false;

    // On paper nobody can press a button, so all runs are printed.
    const shownArms = () => (printing || chosen === "all" ? map.arms.map((_, a) => a) : [chosen]);
    const cursorShapes = (shown) => (cursor === null ? [] : shown.map((_, k) => ({
      type: "rect", xref: k ? "x" + (k + 1) : "x", yref: "y",
      x0: cursor.column - 0.5, x1: cursor.column + 0.5, y0: cursor.row - 0.5, y1: cursor.row + 0.5,
      line: { color: colour("ink"), width: 2 },
    })));

    const draw = () => {
      const shown = shownArms();
      const total = width(element);
      const roomy = total >= NARROW;
      const left = (roomy || printing) && rows <= 80 ? 190 : 30;
      const gap = rows <= 80 && columns <= 80 ? 1 : 0;
      const scale = states.colours.flatMap((name, i) => [[i / 4, colour(name)], [(i + 1) / 4, colour(name)]]);
      const space = 0.03;
      const share = (1 - space * (shown.length - 1)) / shown.length;
      const axes = {};
      const titles = [];
      shown.forEach((a, k) => {
        const domain = [k * (share + space), k * (share + space) + share];
        axes["xaxis" + (k ? k + 1 : "")] = axis({ domain, range: [-0.5, columns - 0.5], showgrid: false, showticklabels: false,
          ticks: "", matches: k ? "x" : undefined, title: { text: "requests", standoff: 4, font: { color: colour("soft") } } });
        titles.push({ text: escaped(map.arms[a].name, 60), xref: "paper", yref: "paper", x: domain[0], y: 1, xanchor: "left",
          yanchor: "bottom", showarrow: false, font: { size: 13, color: colour("ink") } });
      });
      Plotly.react(element, shown.map((a, k) => ({
        type: "heatmap", z: grids[a], xaxis: k ? "x" + (k + 1) : "x", yaxis: "y", zmin: -0.5, zmax: 3.5,
        colorscale: scale, showscale: false, hoverinfo: "none", hoverongaps: false, xgap: gap, ygap: gap,
      })), layout({
        width: total, height: 70 + Math.max(220, Math.min(rows * 15, 860)), margin: { l: left, r: 6, t: 34, b: 30 },
        annotations: titles, shapes: cursorShapes(shown), dragmode: roomy ? "zoom" : false,
        yaxis: axis({ range: [rows - 0.5, -0.5], showgrid: false, ticks: "", tickmode: "array",
          tickvals: left > 30 ? map.rows.map((_, r) => r) : [], ticktext: left > 30 ? map.rows.map((row) => escaped(row.label, 26)) : [],
          tickfont: { size: rows > 50 ? 10 : 11 } }),
        ...axes,
      }), config(roomy));
      if (!listening) {
        listening = true;
        listen(element, (point) => ({ row: Math.round(point.y), column: Math.round(point.x) }), show, (direction) => {
          const at = cursor || { row: 0, column: -1 };
          const step = { left: [0, -1], right: [0, 1], up: [-1, 0], down: [1, 0] }[direction];
          cursor = { row: Math.max(0, Math.min(rows - 1, at.row + step[0])), column: Math.max(0, Math.min(columns - 1, at.column + step[1])) };
          Plotly.relayout(element, { shapes: cursorShapes(shownArms()) });
          show(cursor);
        });
      }
    };

    const show = ({ row, column }) => {
      clear(panel);
      const persona = map.rows[row], request = map.columns[column];
      const at = row * columns + column;
      const pair = add(panel, "div", "columns");
      const asked = add(pair, "div", "");
      add(asked, "p", "who", request.category ? `Request (${request.category})` : "Request");
      add(asked, "p", "model", request.text);
      add(asked, "p", "who", persona.label);
      add(asked, "p", "model", persona.text === null ? "The request alone, asked plainly." : persona.text);
      const answers = add(pair, "div", "");
      map.arms.forEach((arm, a) => {
        const tally = map.tallies[arm.cells[at]];
        const state = stateOf[arm.cells[at]];
        const line = add(answers, "p", "");
        const swatch = add(line, "span", "swatch absent");
        if (state !== null) swatch.style.background = colour(states.colours[state]);
        const total = tally.reduce((sum, n) => sum + n, 0);
        const counts = tally.map((n, i) => [n, states.words[i]]).filter(([n]) => n > 0)
          .map(([n, word]) => (total === 1 ? word : `${n} of ${total} ${word}`)).join(", ");
        const rate = persona.judged[a] ? `; over the row ${persona.hits[a]} of ${persona.judged[a]}, ${percent(persona.hits[a] / persona.judged[a])}` : "";
        add(line, "span", "", ` ${arm.name}: ${counts || "not run"}${rate}`);
        const response = arm.responses && arm.responses[at];
        if (Array.isArray(response)) add(answers, "p", "redacted", response[0]);
        else if (typeof response === "string") add(answers, "p", "model", response === "" ? "(empty answer)" : response);
      });
    };

    if (map.arms.length > 1) {
      const controls = document.querySelector(`[data-heatmap-controls="${index}"]`);
      const choices = [["all", "side by side"], ...map.arms.map((arm, a) => [a, arm.name])];
      const buttons = choices.map(([value, text]) => {
        const button = add(controls, "button", "", text);
        button.type = "button";
        button.addEventListener("click", () => { chosen = value; mark(); draw(); });
        return [value, button];
      });
      const mark = () => buttons.forEach(([value, button]) => button.setAttribute("aria-pressed", String(value === chosen)));
      mark();
    }
    redraws.push(draw);
    draw();
  };

  // ---- lineage ----------------------------------------------------------------------------------------------------
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross", "pentagon", "star", "hexagon"];

  const drawLineage = (index, element) => {
    const { nodes, edges } = data.lineages[index];
    const panel = document.querySelector(`[data-lineage-panel="${index}"]`);
    const parents = nodes.map(() => []), children = nodes.map(() => []);
    edges.forEach(([from, to]) => { parents[to].push(from); children[from].push(to); });
    const columns = new Map();
    nodes.forEach((node, i) => columns.set(node.generation, [...(columns.get(node.generation) || []), i]));
    columns.forEach((members) => members.sort((a, b) => nodes[a].y - nodes[b].y));
    const tallest = Math.max(...[...columns.values()].map((members) => members.length));
    const operations = [...new Set(nodes.map((node) => node.operation))];
    let selected = null;
    let listening = false;

    const line = (pairs) => {
      const x = [], y = [];
      pairs.forEach(([from, to]) => { x.push(nodes[from].x, nodes[to].x, null); y.push(nodes[from].y, nodes[to].y, null); });
      return { x, y };
    };
    const ancestry = (start) => {
      const seen = new Set([start]), pairs = [], queue = [start];
      while (queue.length) {
        const child = queue.pop();
        parents[child].forEach((parent) => {
          pairs.push([parent, child]);
          if (!seen.has(parent)) { seen.add(parent); queue.push(parent); }
        });
      }
      return { pairs, count: seen.size - 1 };
    };

    const draw = () => {
      const total = width(element);
      const height = Math.max(340, Math.min(120 + tallest * 15, 820));
      const size = Math.max(4, Math.min(11, (height - 120) / tallest - 1.5, (0.55 * total) / columns.size));
      const ramp = [[0, colour("asr-low")], [0.5, colour("asr-mid")], [1, colour("asr-high")]];
      const path = selected === null ? { x: [], y: [] } : line(ancestry(selected).pairs);
      const group = (members, marker) => ({
        type: "scatter", mode: "markers", x: members.map((i) => nodes[i].x), y: members.map((i) => nodes[i].y), customdata: members,
        hoverinfo: "none", showlegend: false, marker,
      });
      // Plotly draws the legend marks of colour-scaled traces black, so the legend has traces of its own.
      const legend = (name, symbol) => ({
        type: "scatter", mode: "markers", x: [null], y: [null], name, hoverinfo: "skip",
        marker: { symbol, size: 9, color: colour("soft") },
      });
      const traces = [
        { type: "scatter", mode: "lines", ...line(edges), line: { color: colour("soft"), width: 1 }, opacity: 0.35, hoverinfo: "skip", showlegend: false },
        { type: "scatter", mode: "lines", ...path, line: { color: colour("ink"), width: 2 }, hoverinfo: "skip", showlegend: false },
      ];
      operations.forEach((operation, o) => {
        const symbol = SYMBOLS[o % SYMBOLS.length];
        const members = nodes.map((_, i) => i).filter((i) => nodes[i].operation === operation);
        const judged = members.filter((i) => nodes[i].judged > 0);
        const unjudged = members.filter((i) => nodes[i].judged === 0);
        traces.push(legend(escaped(operation, 30), symbol));
        if (judged.length) traces.push(group(judged, {
          symbol, size, color: judged.map((i) => nodes[i].successes / nodes[i].judged), coloraxis: "coloraxis",
          line: { color: judged.map((i) => (nodes[i].elite ? colour("ink") : colour("card"))), width: judged.map((i) => (nodes[i].elite ? 2 : 0.5)) },
        }));
        if (unjudged.length) traces.push(group(unjudged, { symbol: symbol + "-open", size, color: colour("unjudged"), line: { width: 1.5 } }));
      });
      if (nodes.some((node) => node.judged === 0)) traces.push(legend("hollow: not judged", "circle-open"));
      const wide = total >= NARROW;
      Plotly.react(element, traces, layout({
        width: total, height, margin: { l: 24, r: wide ? 90 : 12, t: 12, b: wide ? 74 : 110 }, hovermode: "closest", hoverdistance: 12,
        dragmode: wide ? "zoom" : false, legend: { orientation: "h", y: wide ? -0.13 : -0.22, x: 0, itemclick: false, itemdoubleclick: false },
        coloraxis: { colorscale: ramp, cmin: 0, cmax: 1, showscale: wide, colorbar: { title: { text: "ASR" }, tickformat: ".0%", thickness: 12, len: 0.8, outlinewidth: 0 } },
        xaxis: axis({ title: { text: "generation", standoff: 6 }, showgrid: false, tickformat: "d", dtick: columns.size > 15 ? undefined : 1 }),
        yaxis: axis({ range: [1.02, -0.02], showgrid: false, showticklabels: false, ticks: "" }),
      }), config(wide));
      if (!listening) {
        listening = true;
        listen(element, (point) => (Array.isArray(point.data.customdata) ? point.customdata : null), show, (direction) => show(step(direction)));
      }
    };

    const step = (direction) => {
      if (selected === null) return 0;
      if (direction === "left") return parents[selected][0] ?? selected;
      if (direction === "right") return children[selected][0] ?? selected;
      const column = columns.get(nodes[selected].generation);
      const at = column.indexOf(selected) + (direction === "down" ? 1 : -1);
      return column[Math.max(0, Math.min(column.length - 1, at))];
    };

    const show = (i) => {
      if (i === selected) return;
      selected = i;
      const { pairs, count } = ancestry(i);
      const path = line(pairs);
      Plotly.restyle(element, { x: [path.x], y: [path.y] }, [1]);
      const node = nodes[i];
      clear(panel);
      const asr = node.judged ? `attack success ${node.asr} (${node.successes} of ${node.judged})` : "no judged answer";
      add(panel, "p", "who", `${node.name ? node.name + ": " : ""}${node.operation}, generation ${node.generation}, ${asr}${node.elite ? ", elite" : ""}; ${count} ancestors, ${children[i].length} children`);
      add(panel, "p", "model", node.text);
    };
    redraws.push(draw);
    draw();
  };

  // ---- curves -----------------------------------------------------------------------------------------------------
  const SERIES_SYMBOLS = ["circle", "square", "triangle-up", "diamond"];

  const drawSearch = (element) => {
    const draw = () => {
      const total = width(element);
      const wide = total >= NARROW;
      const traces = data.search.flatMap((curve, s) => {
        const tint = colour("arm" + (s % 4));
        const name = escaped(curve.name, wide ? 60 : 28);
        const marker = { symbol: SERIES_SYMBOLS[s % 4], size: 6, color: tint };
        const common = { type: "scatter", x: curve.calls, legendgroup: String(s), mode: "lines+markers", marker };
        const made = [
          { ...common, y: curve.best, name: name + ", best", line: { color: tint, width: 2.5, shape: "hv" }, hovertemplate: "best %{y:.1%} after %{x:,} calls" },
          { ...common, y: curve.mean, name: name + (wide ? ", mean of elites" : ", mean"), line: { color: tint, width: 2, dash: "dash" }, hovertemplate: "mean of elites %{y:.1%} after %{x:,} calls" },
        ];
        if (curve.confirmed && curve.calls.length) {
          const { value, ci95 } = curve.confirmed;
          made.push({ type: "scatter", mode: "markers", x: [curve.calls[curve.calls.length - 1]], y: [value], legendgroup: String(s),
            name: name + (wide ? ", on fresh requests" : ", fresh"), marker: { symbol: "diamond-open", size: 13, color: tint, line: { width: 2.5 } },
            error_y: ci95 ? { type: "data", symmetric: false, array: [ci95[1] - value], arrayminus: [value - ci95[0]], color: tint, thickness: 2 } : undefined,
            hovertemplate: "on fresh requests %{y:.1%}" });
        }
        return made;
      });
      Plotly.react(element, traces, layout({
        width: total, height: wide ? 470 : 520, margin: { l: 52, r: wide ? 16 : 8, t: 30, b: 40 }, hovermode: "closest", dragmode: wide ? "zoom" : false,
        legend: { orientation: "h", y: wide ? -0.17 : -0.16, x: 0 },
        xaxis: axis({ title: { text: "calls to the target model", standoff: 6 }, rangemode: "tozero" }),
        yaxis: axis({ range: [-0.02, 1.04], tickformat: ".0%", title: wide ? { text: "attack success" } : undefined }),
      }), config(wide));
    };
    redraws.push(draw);
    draw();
  };

  const drawConfirmation = (index, element) => {
    const elites = data.confirmations[index];
    const panel = document.querySelector(`[data-confirmation-panel="${index}"]`);
    // Both axes begin at the same round number below everything shown, so that the diagonal is one.
    const least = Math.min(...elites.flatMap((elite) => [elite.estimate, elite.value, ...(elite.ci95 || [])]));
    const from = Math.max(0, Math.floor(10 * least - 0.2) / 10);
    const range = [from - 0.02, 1.03];
    const KINDS = [["confirmed as high, or not told apart", false, "circle", "arm1"], ["interval below the estimate", true, "diamond", "arm0"]];
    let selected = null;
    let listening = false;

    const ring = () => (selected === null ? { x: [], y: [] } : { x: [elites[selected].estimate], y: [elites[selected].value] });
    const draw = () => {
      const total = width(element);
      const wide = total >= NARROW;
      const groups = KINDS.map(([name, below, symbol, tint]) => {
        const members = elites.map((_, i) => i).filter((i) => elites[i].below === below);
        const known = members.map((i) => elites[i].ci95 || [elites[i].value, elites[i].value]);
        return {
          type: "scatter", mode: "markers", name, x: members.map((i) => elites[i].estimate), y: members.map((i) => elites[i].value),
          customdata: members, hoverinfo: "none", marker: { symbol, size: 9, color: colour(tint), line: { width: 1, color: colour("card") } },
          error_y: { type: "data", symmetric: false, array: members.map((i, k) => known[k][1] - elites[i].value),
            arrayminus: members.map((i, k) => elites[i].value - known[k][0]), color: colour(tint), thickness: 1, width: 2 },
        };
      });
      Plotly.react(element, [
        { type: "scatter", mode: "lines", name: "confirmed as estimated", x: [from, 1], y: [from, 1], line: { color: colour("soft"), width: 1.5, dash: "dash" }, hoverinfo: "skip" },
        { type: "scatter", mode: "markers", ...ring(), showlegend: false, hoverinfo: "skip", marker: { symbol: "circle-open", size: 17, color: colour("ink"), line: { width: 2 } } },
        ...groups.filter((group) => group.x.length),
      ], layout({
        width: total, height: wide ? 470 : 440, margin: { l: 52, r: wide ? 16 : 8, t: 30, b: 40 }, hovermode: "closest", hoverdistance: 12,
        dragmode: wide ? "zoom" : false, legend: { orientation: "h", y: wide ? -0.17 : -0.2, x: 0, itemclick: false, itemdoubleclick: false },
        xaxis: axis({ range, tickformat: ".0%", title: { text: "search estimate", standoff: 6 } }),
        yaxis: axis({ range, tickformat: ".0%", title: wide ? { text: "confirmed on fresh requests" } : undefined }),
      }), config(wide));
      if (!listening) {
        listening = true;
        listen(element, (point) => (Array.isArray(point.data.customdata) ? point.customdata : null), show, (direction) => {
          const step = direction === "right" || direction === "down" ? 1 : -1;
          show(selected === null ? 0 : Math.max(0, Math.min(elites.length - 1, selected + step)));
        });
      }
    };

    const show = (i) => {
      if (i === selected) return;
      selected = i;
      const { x, y } = ring();
      Plotly.restyle(element, { x: [x], y: [y] }, [1]);
      clear(panel);
      add(panel, "p", "who", `Elite ${i + 1} of ${elites.length}: ${elites[i].told}${elites[i].below ? "; the interval lies below the estimate" : ""}`);
      add(panel, "p", "model", elites[i].text);
    };
    redraws.push(draw);
    draw();
  };

  const drawTraining = (index, element) => {
    const curve = data.training[index];
    const draw = () => Plotly.react(element, [{
      type: "scatter", mode: curve.steps.length > 60 ? "lines" : "lines+markers", x: curve.steps, y: curve.values, connectgaps: false,
      line: { color: colour("arm1"), width: 2 }, marker: { size: 4 }, hovertemplate: "step %{x}: %{y:.4g}<extra></extra>",
    }], layout({
      width: width(element), height: 210, margin: { l: 52, r: 10, t: 8, b: 40 }, dragmode: false,
      xaxis: axis({ title: { text: "step", standoff: 4 }, tickformat: "d" }), yaxis: axis({ exponentformat: "power", nticks: 5 }),
    }), config(false));
    redraws.push(draw);
    draw();
  };

  // Lines and points of a section: bands along a line or bars at its points, gaps where nothing was measured.
  const FIGURE_SYMBOLS = [...SERIES_SYMBOLS, "cross", "x", "star", "hexagon"];
  const FIGURE_DASHES = ["solid", "dash"];

  const bandOf = ({ x, y, yci }) => {
    const outline = { x: [], y: [] };
    let run = [];
    const close = () => {
      if (run.length > 1) {
        outline.x.push(...run.map((i) => x[i]), ...run.slice().reverse().map((i) => x[i]), null);
        outline.y.push(...run.map((i) => yci[i][0]), ...run.slice().reverse().map((i) => yci[i][1]), null);
      }
      run = [];
    };
    x.forEach((at, i) => { if (at !== null && y[i] !== null && yci[i]) run.push(i); else close(); });
    close();
    return outline;
  };
  // A point between two gaps has no width for a band, so it keeps its bar.
  const loneIntervals = ({ x, y, yci }) => {
    const known = (i) => i >= 0 && i < x.length && x[i] !== null && y[i] !== null && yci[i] !== null;
    return yci.map((ends, i) => (known(i) && !known(i - 1) && !known(i + 1) ? ends : null));
  };
  const bars = (values, intervals, color) => (intervals.some((interval) => interval) ? {
    type: "data", symmetric: false, color, thickness: 1, width: 2,
    array: values.map((value, i) => (value !== null && intervals[i] ? intervals[i][1] - value : 0)),
    arrayminus: values.map((value, i) => (value !== null && intervals[i] ? value - intervals[i][0] : 0)),
  } : undefined);

  const drawFigure = (key, element) => {
    const figure = data.figures[key];
    const names = [...new Set(figure.series.map((series) => series.name))];
    const reachOf = (values, intervals) => {
      const known = figure.series.flatMap((series) => [...series[values], ...series[intervals].flatMap((ends) => ends || [])]).filter((value) => value !== null);
      return [Math.min(...known), Math.max(...known)];
    };
    const format = ({ percent: share }) => (share ? ":.1%" : ":,.4~r");
    const draw = () => {
      const total = width(element);
      const wide = total >= NARROW;
      const listed = new Set();
      const traces = figure.series.flatMap((series) => {
        const place = names.indexOf(series.name);
        const tint = colour("arm" + (place % 8));
        const name = escaped(series.name, wide ? 60 : 28);
        // A legend entry a name, taken from its plain line where it has one.
        const plain = figure.series.some((other) => other.name === series.name && !other.faint);
        const showlegend = !listed.has(series.name) && (!series.faint || !plain);
        if (showlegend) listed.add(series.name);
        const labelled = !series.faint && series.labels.some((label) => label !== "");
        const tell = (label) => `${escaped(label ? label + ": " : "", 60)}%{y${format(figure.y)}} at %{x${format(figure.x)}}`;
        const line = {
          type: "scatter", x: series.x, y: series.y, name, legendgroup: String(place), showlegend, connectgaps: false,
          mode: series.faint ? "lines" : labelled && wide ? "lines+markers+text" : "lines+markers",
          line: { color: tint, width: series.faint ? 1 : 2.5, dash: FIGURE_DASHES[Math.floor(place / 4) % 2] },
          opacity: series.faint ? 0.55 : 1, marker: { symbol: FIGURE_SYMBOLS[place % 8], size: 7, color: tint },
          text: series.labels.map((label) => escaped(label, 40)), textposition: "top right", textfont: { size: 11, color: colour("soft") },
          hovertemplate: series.labels.map(tell),
          error_x: series.faint ? undefined : bars(series.x, series.xci, tint),
          error_y: series.faint ? undefined : bars(series.y, figure.band ? loneIntervals(series) : series.yci, tint),
        };
        if (series.faint || !figure.band) return [line];
        return [{ type: "scatter", mode: "lines", ...bandOf(series), fill: "toself", fillcolor: tint, opacity: 0.18, line: { width: 0 },
          legendgroup: String(place), showlegend: false, hoverinfo: "skip" }, line];
      });
      const axisOf = ({ label, percent: share, log }, reach, titled) => axis({
        title: titled ? { text: escaped(label, 80), standoff: 6 } : undefined, tickformat: share ? ".0~%" : ",.4~r",
        type: log ? "log" : "linear", dtick: log ? (!wide && reach[1] / reach[0] > 100 ? 1 : "D2") : undefined,
        // Rates at 0 keep their whole mark, and nothing is zoomed in on so far that noise looks like a change.
        ...(share ? { range: [-0.03 * (reach[1] || 1), 1.06 * (reach[1] || 1)] } : { rangemode: log ? "normal" : "tozero" }),
      });
      Plotly.react(element, traces, layout({
        width: total, height: wide ? 470 : 500, margin: { l: 58, r: wide ? 40 : 8, t: 20, b: 44 }, hovermode: "closest", dragmode: wide ? "zoom" : false,
        legend: { orientation: "h", y: wide ? -0.17 : -0.18, x: 0 },
        xaxis: axisOf(figure.x, reachOf("x", "xci"), true), yaxis: axisOf(figure.y, reachOf("y", "yci"), wide),
      }), config(wide));
    };
    redraws.push(draw);
    draw();
  };

  document.querySelectorAll("[data-figure]").forEach((element) => drawFigure(element.dataset.figure, element));
  document.querySelectorAll("[data-heatmap]").forEach((element) => drawHeatmap(Number(element.dataset.heatmap), element));
  document.querySelectorAll("[data-lineage]").forEach((element) => drawLineage(Number(element.dataset.lineage), element));
  document.querySelectorAll("[data-search]").forEach((element) => drawSearch(element));
  document.querySelectorAll("[data-confirmation]").forEach((element) => drawConfirmation(Number(element.dataset.confirmation), element));
  document.querySelectorAll("[data-training]").forEach((element) => drawTraining(Number(element.dataset.training), element));

  const redrawAll = () => redraws.forEach((draw) => draw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redrawAll);
  let timer = 0;
  let lastWidth = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === lastWidth) return;
    lastWidth = window.innerWidth;
    clearTimeout(timer);
    timer = setTimeout(redrawAll, 120);
  });
  const forPrint = (on) => () => {
    printing = on;
    document.documentElement.classList.toggle("printing", on);
    redrawAll();
  };
  window.addEventListener("beforeprint", forPrint(true));
  window.addEventListener("afterprint", forPrint(false));
  document.documentElement.dataset.plots = "drawn";
})();
