"use strict";
// Draws the curves of a study or a run, and the final metric against an axis. What is chosen stands in the address, so that it can be
// kept and shared. Numbers come from `/curves`, decimated; smoothing happens here.

const LIGHT = { text: "#47505c", grid: "#e4e7ec", lines: ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#b8a900", "#000000"] };
const DARK = { text: "#b4bcc8", grid: "#2b313a", lines: ["#2b86d9", "#e69f00", "#14b88a", "#e8702a", "#8fd3f7", "#d992ba", "#d6c828", "#f2f2f2"] };
const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [16, 5]];
const dark = matchMedia("(prefers-color-scheme: dark)");
const theme = () => (dark.matches ? DARK : LIGHT);
// Eight colours, then the next dash: forty arms differ in more than colour.
const look = (i) => ({ color: theme().lines[i % 8], dash: DASHES[Math.floor(i / 8) % DASHES.length] });
function shown(x) {
  if (x == null) return "–";
  const short = Number(x.toPrecision(4));
  return Math.abs(x) >= 1e5 || (x !== 0 && Math.abs(x) < 1e-3) ? short.toExponential() : String(short);
}

// Adam's corrected moving average; gaps stay gaps.
function smooth(values, beta) {
  if (!beta) return values;
  let sum = 0, weight = 1;
  return values.map((y) => {
    if (y == null) return null;
    sum = beta * sum + (1 - beta) * y;
    weight *= beta;
    return sum / (1 - weight);
  });
}

// One row of x for all series; what a series has not is left out (undefined), what is no number is a gap (null).
function align(series) {
  const all = [...new Set(series.flatMap(({ x }) => x))].sort((a, b) => a - b), place = new Map(all.map((x, i) => [x, i]));
  const columns = series.flatMap(({ x, rows }) => rows.map((row) => {
    const column = new Array(all.length);
    x.forEach((at, i) => { column[place.get(at)] = row[i]; });
    return column;
  }));
  return [all, ...columns];
}

function positive(values) {
  return values.map((y) => (y != null && y > 0 ? y : null));
}

function scales(xLog, yLog) {
  return { x: { time: false, distr: xLog ? 3 : 1 }, y: { distr: yLog ? 3 : 1 } };
}

function axes(xTitle, yTitle) {
  const { text, grid } = theme();
  const base = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui", labelFont: "12px system-ui" };
  const values = (_, ticks) => ticks.map((tick) => (tick == null ? "" : shown(tick)));
  return [{ ...base, label: xTitle, values }, { ...base, label: yTitle, values, size: 62 }];
}

function plot(place, options, data) {
  place.replaceChildren();
  const width = place.clientWidth, height = Math.max(280, Math.min(440, Math.round(width * 0.5)));
  return new uPlot({ width, height, cursor: { drag: { x: true, y: true, uni: 30 } }, legend: { live: false, show: false }, ...options }, data, place);
}

// ---- Curves of arms, or of a run ----

function curves(form) {
  const place = document.getElementById("chart"), note = document.getElementById("chart-note");
  const { study, run } = form.dataset;
  let answer = null, tag = null, asked = "", chart = null;

  const value = (name) => form.elements[name]?.value;
  const chosen = () => [...form.querySelectorAll('input[name="arm"]:checked')].map((box) => box.value);

  function address() {
    const query = new URLSearchParams();
    if (run) query.set("run", run);
    else { query.set("study", study); chosen().forEach((arm) => query.append("arm", arm)); query.set("show", value("show")); }
    query.set("metric", value("metric"));
    query.set("x", value("x") ?? "step");
    return `/curves?${query}`;
  }

  // What was chosen, in the address of the page.
  function keep() {
    const query = new URLSearchParams();
    for (const name of ["metric", "x", "show", "y-scale", "x-scale", "smooth"]) {
      const field = form.elements[name];
      const usual = field?.tagName === "SELECT" ? [...field.options].find((option) => option.defaultSelected)?.value ?? field.options[0].value : field?.defaultValue;
      if (field && (field.value !== usual || new URLSearchParams(location.search).has(name))) query.set(name, field.value);
    }
    const boxes = [...form.querySelectorAll('input[name="arm"]')];
    if (boxes.some((box) => box.checked !== box.defaultChecked) || new URLSearchParams(location.search).has("arm")) chosen().forEach((arm) => query.append("arm", arm));
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  }

  async function ask() {
    const to = address();
    if (to !== asked) { asked = to; tag = null; }
    if (!run && chosen().length === 0) { answer = { series: [] }; draw(); return; }
    const fetched = await fetch(to, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" }).catch(() => null);
    if (!fetched || fetched.status === 304 || to !== asked) return;
    if (!fetched.ok) { note.textContent = "These curves can't be had now."; return; }
    tag = fetched.headers.get("etag");
    answer = await fetched.json();
    draw();
  }

  function draw() {
    if (!answer) return;
    const beta = Number(value("smooth") ?? 0), yLog = value("y-scale") === "log", xLog = value("x-scale") === "log";
    const clean = (values) => (yLog ? positive(values) : values);
    const series = [{}], bands = [], rows = [];
    const of = (entry) => look(run ? 0 : entry.position);
    for (const entry of answer.series) {
      const { color, dash } = of(entry), label = entry.seed == null ? entry.arm : `${entry.arm}, seed ${entry.seed}`;
      const line = { label, stroke: color, dash, width: entry.low || beta || run ? 2 : 1.3, spanGaps: false, points: { show: entry.x.length < 30, size: 5, fill: color } };
      const x = xLog ? entry.x.map((at) => (at > 0 ? at : null)) : entry.x, kept = x.map((at, i) => (at == null ? -1 : i)).filter((i) => i >= 0);
      const pick = (values) => kept.map((i) => values[i]);
      const mine = [clean(smooth(pick(entry.y), beta))];
      if (entry.low) {
        const at = series.length;
        mine.push(clean(smooth(pick(entry.low), beta)), clean(smooth(pick(entry.high), beta)));
        series.push(line, { stroke: color, width: 0, points: { show: false } }, { stroke: color, width: 0, points: { show: false } });
        bands.push({ series: [at + 2, at + 1], fill: `${color}26` });
      } else if (beta && run) {
        mine.push(clean(pick(entry.y)));
        series.push(line, { stroke: `${color}55`, width: 1, points: { show: false } });
      } else series.push(line);
      rows.push({ x: pick(entry.x), rows: mine });
    }
    chart?.destroy();
    const data = rows.length ? align(rows) : [[], []];
    if (!rows.length) series.push({});
    chart = plot(place, { series, bands, scales: scales(xLog, yLog), axes: axes(answer.x ?? "", answer.title ?? "") }, data);
    const seeds = answer.series.reduce((n, entry) => n + (entry.seeds ?? 1), 0), points = answer.series.reduce((n, entry) => n + entry.x.length, 0);
    const diverged = answer.series.reduce((n, entry) => n + (entry.diverged ?? (entry.state === "diverged" ? 1 : 0)), 0);
    note.textContent = answer.series.length === 0 ? "No arm is chosen." : points === 0 ? "Nothing of this metric is logged yet." :
      `${seeds} ${seeds === 1 ? "run" : "runs"}${diverged ? `, of which ${diverged} diverged: their curves end there, and medians from there on are of the others` : ""}. Drag to zoom, double-click to see all.`;
    place.dataset.points = points;
    place.dataset.until = Math.max(0, ...answer.series.map((entry) => entry.x.at(-1) ?? 0));
    const ends = new Map(answer.series.map((entry) => [String(entry.position), entry.y.findLast((y) => y != null)]));
    for (const row of document.querySelectorAll("#arms-body tr")) {
      row.querySelector("[data-now]").textContent = ends.has(row.dataset.position) ? shown(ends.get(row.dataset.position)) : "";
      paint(row.querySelector(".swatch"), look(Number(row.dataset.position)));
    }
    place.setAttribute("aria-label", answer.series.length ? `${answer.title} against ${answer.x}: ${answer.series.slice(0, 12).map((entry) => `${entry.arm} ${shown(entry.y.findLast((y) => y != null))}`).join("; ")}` : "No curve");
  }

  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "smooth") event.target.nextElementSibling.textContent = event.target.value;
    keep();
    if (["smooth", "y-scale", "x-scale"].includes(event.target.name)) draw();
    else ask();
  });
  form.addEventListener("click", (event) => {
    const which = event.target.dataset?.arms;
    if (!which) return;
    const boxes = [...form.querySelectorAll('input[name="arm"]')];
    const finals = boxes.map((box) => ({ box, y: box.closest("tr").dataset.final })).filter(({ y }) => y != null);
    const higher = !/loss$/.test(document.querySelector("#arms thead th:nth-child(4)").textContent.split(",")[0]);
    finals.sort((a, b) => (higher ? b.y - a.y : a.y - b.y));
    const best = new Set(finals.slice(0, 8).map(({ box }) => box));
    for (const box of boxes) box.checked = which === "all" || (which === "best" && best.has(box));
    keep();
    ask();
  });
  document.addEventListener("live", ask);
  dark.addEventListener("change", draw);
  let width = place.clientWidth;
  addEventListener("resize", () => { if (place.clientWidth !== width) { width = place.clientWidth; draw(); } });
  const start = new URLSearchParams(location.search);
  for (const [name, text] of start) { const field = form.elements[name]; if (field && !(field instanceof RadioNodeList) && name !== "arm") field.value = text; }
  note.textContent = "";
  ask();
}

function paint(swatch, { color, dash }) {
  const name = `${color} ${dash}`;
  if (!swatch || swatch.dataset.look === name) return;
  swatch.dataset.look = name;
  const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  svg.setAttribute("viewBox", "0 0 30 12");
  line.setAttribute("d", "M0 6H30");
  line.setAttribute("stroke", color);
  line.setAttribute("stroke-dasharray", dash.join(" ") || "none");
  svg.append(line);
  swatch.replaceChildren(svg);
}

// ---- The final metric against an axis ----

function sensitivity(form) {
  const data = document.getElementById("sensitivity-data"), place = document.getElementById("sensitivity-chart");
  let chart = null;
  // Rates and sizes over decades are told apart on a logarithmic axis.
  function suits() {
    const values = JSON.parse(data.dataset.points).map((p) => p.axes[form.elements.axis.value]).filter((x) => typeof x === "number");
    const [low, high] = [Math.min(...values), Math.max(...values)];
    form.elements.scale.value = low > 0 && high / low >= 30 ? "log" : "linear";
  }
  function draw() {
    const points = JSON.parse(data.dataset.points), all = JSON.parse(data.dataset.axes), axis = form.elements.axis.value, log = form.elements.scale.value === "log";
    const rest = all.filter((other) => other !== axis);
    const groups = new Map();
    for (const point of points) {
      const x = point.axes[axis];
      if (typeof x !== "number" || (log && x <= 0)) continue;
      const name = rest.map((key) => (point.axes[key] === undefined ? "" : `${key}=${point.axes[key]}`)).filter(Boolean).join(" ") || "all";
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push({ ...point, x });
    }
    const series = [{}], bands = [], rows = [];
    [...groups].slice(0, 40).forEach(([label, group], i) => {
      group.sort((a, b) => a.x - b.x);
      const { color, dash } = look(i), at = series.length;
      series.push({ label, stroke: color, dash, width: 2, spanGaps: true, points: { show: true, size: 7, fill: color } }, { stroke: color, width: 0, points: { show: false } }, { stroke: color, width: 0, points: { show: false } });
      bands.push({ series: [at + 2, at + 1], fill: `${color}26` });
      rows.push({ x: group.map((p) => p.x), rows: [group.map((p) => p.y), group.map((p) => p.low), group.map((p) => p.high)] });
    });
    // Arms of which some seeds diverged, at the lower edge, whatever the others came to.
    const bad = points.filter((p) => p.diverged > 0 && typeof p.axes[axis] === "number" && (!log || p.axes[axis] > 0)).map((p) => p.axes[axis]);
    chart?.destroy();
    const mark = (u) => {
      u.ctx.save();
      u.ctx.fillStyle = dark.matches ? "#ff9c66" : "#a63c00";
      u.ctx.font = `${13 * devicePixelRatio}px system-ui`;
      u.ctx.textAlign = "center";
      for (const x of new Set(bad)) u.ctx.fillText("✕", u.valToPos(x, "x", true), u.bbox.top + u.bbox.height - 4 * devicePixelRatio);
      u.ctx.restore();
    };
    const legend = { show: groups.size > 1, live: false };
    const options = { series, bands, scales: scales(log, false), axes: axes(axis, form.dataset.metric ?? ""), legend, hooks: { draw: [mark] } };
    if (rows.length) chart = plot(place, options, align(rows));
    else place.replaceChildren(Object.assign(document.createElement("p"), { className: "empty", textContent: "No run has finished yet." }));
    for (const [i, item] of [...place.querySelectorAll(".u-legend .u-series")].entries()) if (i % 3) item.hidden = true;
  }
  form.addEventListener("input", (event) => {
    if (event.target.name === "axis") suits();
    draw();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  new MutationObserver(draw).observe(data, { attributes: true });
  dark.addEventListener("change", draw);
  suits();
  draw();
}

document.addEventListener("DOMContentLoaded", () => {
  const choice = document.getElementById("choice"), axis = document.getElementById("axis-choice");
  if (choice) curves(choice);
  if (axis) sensitivity(axis);
});
