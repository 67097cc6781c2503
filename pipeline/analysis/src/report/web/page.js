// The page reports/index.html: an overview of the studies, and for each its curves, arms, tables and figures.
// Everything comes from the JSON in #data. Names in it may be hostile, so text only ever enters as text nodes.
"use strict";

// ---- Elements and text ----

// An element with attributes, listeners (keys that begin with "on") and children; strings become text nodes.
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null));
  return node;
}

// A name: isolated, so that right-to-left marks in it don't reorder what stands around it.
const bdi = (text) => el("bdi", {}, text);
const button = (text, onclick, attributes = {}) => el("button", { type: "button", onclick, ...attributes }, text);
const shown = (value) => (value === "" ? "(empty)" : value ?? "–");
const plural = (n, word) => `${number(n)} ${word}${n === 1 ? "" : "s"}`;

// Sentences are those of report.md: the little Markdown they hold (code, bold, escapes) becomes elements.
function prose(text) {
  const out = [];
  let end = 0;
  for (const match of text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\\([\\|`*_#<>~=+.()-])|&lt;/g)) {
    const [whole, code, bold, escaped = "<"] = match;
    out.push(text.slice(end, match.index), code ? el("code", {}, code) : bold ? el("strong", {}, prose(bold)) : escaped);
    end = match.index + whole.length;
  }
  return [...out, text.slice(end)];
}

// Only files beside this page are linked: nothing with a scheme, a host or a way out of the folder.
function beside(path) {
  const parts = path.split("/");
  if (parts.some((part) => ["", ".", ".."].includes(part) || /[:\\]/.test(part))) return null;
  return parts.map(encodeURIComponent).join("/");
}

const fileLink = (path, text) => (beside(path) ? el("a", { href: beside(path) }, text) : null);

function number(value, digits = 4) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) return value.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
  const [whole, part] = String(Number.isInteger(value) ? value : Number(value.toPrecision(digits))).split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, "\u202f") + (part ? `.${part}` : "");
}

// ---- The highlight, which links curves, arms and tables ----

function hover(view, arms) {
  if (String(arms) === String(view.hovered)) return;
  view.hovered = arms;
  paint(view);
}

function pin(view, arms) {
  const { pinned } = view.state, again = pinned.length === arms.length && arms.every((arm) => pinned.includes(arm));
  const before = [...view.drawn()].join();
  view.state.pinned = again ? [] : arms;
  if ([...view.drawn()].join() === before) paint(view); else refresh(view);
}

// Lets an element follow the highlight of its arms, and set it.
function link(view, node, arms, swatches = []) {
  view.links.push({ node, arms, swatches });
  for (const type of ["mouseenter", "focusin"]) node.addEventListener(type, () => hover(view, arms));
  for (const type of ["mouseleave", "focusout"]) node.addEventListener(type, () => hover(view, null));
  return node;
}

function paint(view) {
  const active = new Set(view.hovered ?? view.state.pinned), drawn = view.drawn();
  for (const { node, arms, swatches } of view.links) {
    node.classList.toggle("hi", arms.some((arm) => active.has(arm)));
    node.classList.toggle("drawn", arms.some((arm) => drawn.has(arm)));
    swatches.forEach((svg, i) => paintSwatch(svg, view.looks.arms[arms[i]]));
  }
  view.unpin.hidden = !view.state.pinned.length;
  if (!view.plot) return;
  const on = lit(view);
  view.lines.forEach(({ arm }, i) => {
    const style = { alpha: on.size && !on.has(arm) ? 0.15 : 1, width: on.has(arm) ? 3.5 : 2 };
    Object.assign(view.plot.series[i + 1], style);
  });
  view.plot.redraw(false, false);
}

// After a change of what is drawn, or of how.
function refresh(view) {
  view.looks = looksOf(view.study, view.axes, view.state.coloring);
  view.update.forEach((update) => update());
  paint(view);
}

// ---- Parts of a study's page ----

function check(text, on, set) {
  return el("label", {}, el("input", { type: "checkbox", checked: on, onchange: ({ target }) => set(target.checked) }), text);
}

function choice(text, options, value, set) {
  const items = options.map(([key, label]) => el("option", { value: key, selected: key === value }, label));
  return el("label", {}, `${text} `, el("select", { onchange: ({ target }) => set(Number(target.value)) }, items));
}

// At most twelve arms: the best, and others evenly spread over the grid.
function suggested(study) {
  const lines = study.curves.flatMap((curve) => curve.lines).filter((line) => line.median.some((v) => v !== null));
  const able = new Set(lines.map((line) => line.arm)), arms = study.arms.map((_, i) => i).filter((i) => able.has(i)), few = 12;
  if (arms.length <= few) return new Set(arms);
  const out = new Set(arms.filter((i) => study.arms[i].best));
  for (let k = 0; out.size < few; k++) out.add(arms[Math.round(k * (arms.length - 1) / (few - 1))]);
  return out;
}

function listed({ study, state }, i) {
  const { label, values } = study.arms[i];
  return label.toLowerCase().includes(state.search.toLowerCase())
    && [...state.chips].every(([axis, chosen]) => !chosen.size || chosen.has(values[axis]));
}

function curveSection(view) {
  const { study, state } = view, { curves } = study;
  const redraw = (change) => (value) => { change(value); refresh(view); };
  const logY = check("logarithmic y", false, redraw((on) => { state.yLog[state.curve] = on; state.zoom.y = null; }));
  const zooms = [
    button("Zoom in", () => zoomBy(view, 0.5)),
    button("Zoom out", () => zoomBy(view, 2)),
    button("◀", () => zoomBy(view, 1, -0.25), { "aria-label": "Move left" }),
    button("▶", () => zoomBy(view, 1, 0.25), { "aria-label": "Move right" }),
    button("Reset zoom", () => setZoom(view, null, null)),
  ];
  view.zoomed = zooms.slice(1);
  view.host = el("div", {
    class: "host", tabindex: "0", role: "application", onkeydown: (event) => keys(view, event), onblur: () => hideTip(view),
    "aria-label": "Chart. Left and right go along a curve, up and down change the curve, plus and minus zoom, 0 resets the zoom.",
  });
  view.note = el("p", { class: "note", role: "status" });
  view.says = el("p", { class: "unseen", "aria-live": "polite" });
  const key = el("div", { class: "key" });
  const colorings = [[-1, "arm"], ...view.axes.map(({ axis, label }) => [axis, label])];
  view.update.push(() => {
    logY.firstChild.checked = state.yLog[state.curve];
    const entry = (item) => el("span", {}, swatch(item), bdi(item.text));
    key.replaceChildren(...view.looks.key.map(([title, items]) => el("p", {}, bdi(title), items.map(entry))));
    drawChart(view);
    setZoom(view, state.zoom.x, state.zoom.y);
  });
  return el("section", { id: "curves" }, el("h2", {}, "Curves"),
    el("div", { class: "tools" },
      choice("Curve", curves.map((curve, i) => [i, curve.name]), state.curve, redraw((i) => {
        if (curves[i].x !== curves[state.curve].x) state.zoom.x = null;
        [state.curve, state.zoom.y] = [i, null];
      })),
      view.axes.length ? choice("Colour by", colorings, state.coloring, redraw((i) => { state.coloring = i; })) : null,
      logY,
      check("logarithmic x", state.xLog, redraw((on) => { state.xLog = on; state.zoom.x = null; })),
      check("quartile band", state.band, redraw((on) => { state.band = on; }))),
    el("div", { class: "split" },
      el("div", { class: "chart" }, view.host, key, view.note, view.says, el("div", { class: "tools" }, zooms, view.unpin),
        el("p", { class: "hint" }, "Lines are medians over seeds. Drag over the chart to zoom, double-click to see all of it again; "
          + "point at a curve for its values, click it to keep it highlighted.")),
      chooser(view)));
}

function chooser(view) {
  const { study, state, axes } = view;
  const change = (edit) => (event) => { edit(event.currentTarget); refresh(view); };
  const boxes = study.arms.map((_, i) => el("input", {
    type: "checkbox", onchange: change(({ checked }) => state.ticked[checked ? "add" : "delete"](i)),
  }));
  const items = study.arms.map((arm, i) => {
    const look = swatch(), badges = [
      arm.best ? ["best", "good"] : null,
      arm.diverged ? [`${arm.diverged} of ${arm.runs} diverged`, "bad"] : null,
      arm.finished + arm.diverged < arm.runs ? [`${arm.runs - arm.finished - arm.diverged} of ${arm.runs} without result`, ""] : null,
      arm.condition ? [arm.condition, ""] : null,
    ].filter((badge) => badge).map(([text, kind]) => el("span", { class: `badge ${kind}` }, bdi(text)));
    return link(view, el("li", {}, el("label", {}, boxes[i], look, el("span", {}, bdi(arm.label), badges))), [i], [look]);
  });
  const chip = (axis, value) => button(bdi(shown(value)), change((self) => {
    const chosen = state.chips.get(axis) ?? new Set();
    chosen[chosen.has(value) ? "delete" : "add"](value);
    state.chips.set(axis, chosen);
    self.setAttribute("aria-pressed", chosen.has(value));
  }), { class: "chip", "aria-pressed": String(state.chips.get(axis)?.has(value) ?? false) });
  const tick = (choose) => change(() => choose(study.arms.map((_, i) => i).filter((i) => listed(view, i))));
  const count = el("p", { class: "note", role: "status" }), all = button("", tick((arms) => arms.forEach((i) => state.ticked.add(i))));
  view.update.push(() => {
    const within = items.map((_, i) => listed(view, i)), n = within.filter(Boolean).length;
    items.forEach((item, i) => { item.hidden = !within[i]; boxes[i].checked = state.ticked.has(i); });
    const some = n < items.length;
    count.textContent = `${number(view.drawn().size)} of ${plural(items.length, "arm")} drawn${some ? `, ${number(n)} listed` : ""}`;
    all.textContent = some ? "Tick all listed" : "Tick all";
  });
  return el("div", { class: "arms" }, el("h3", {}, "Arms"),
    axes.map(({ axis, label, values }) => el("fieldset", {}, el("legend", {}, bdi(label)), values.map((value) => chip(axis, value)))),
    el("input", {
      type: "search", placeholder: "Find an arm", "aria-label": "Find an arm", value: state.search,
      oninput: change(({ value }) => { state.search = value; }),
    }),
    el("div", { class: "tools" }, all,
      button("Untick all", tick((arms) => { arms.forEach((i) => state.ticked.delete(i)); state.pinned = []; })),
      button("Suggested", change(() => { state.ticked = suggested(study); }))),
    count, el("ul", {}, items));
}

const collator = new Intl.Collator("en", { numeric: true });

function tableSection(view, table, index) {
  const { study, state } = view, { columns } = table;
  // From the last to the first, so that the first of two arms of the same name counts.
  const armOf = new Map(study.arms.map((arm, i) => [arm.label, i]).reverse());
  const rows = table.rows.map((cells, r) => {
    const arms = [], swatches = [];
    const tr = el("tr", {}, cells.map((cell, c) => {
      const arm = columns[c].arm ? armOf.get(cell) : undefined;
      if (arm === undefined) return el("td", { class: columns[c].numeric ? "number" : null }, bdi(cell));
      arms.push(arm);
      swatches.push(swatch());
      return el("td", {}, el("button", { type: "button", class: "arm", "data-arm": arm }, swatches.at(-1), bdi(cell)));
    }));
    if (arms.length) {
      link(view, tr, arms, swatches).classList.add("linked");
      tr.addEventListener("click", ({ target }) => {
        const own = target.closest("button");
        if (own || getSelection().isCollapsed) pin(view, own ? [Number(own.dataset.arm)] : arms);
      });
    }
    return { tr, arms, r };
  });
  const body = el("tbody");
  // Numbers by their keys, arms in the order of the grid, other text as people sort it; what has no value comes last.
  const key = (r, c) => {
    const { numeric, arm } = columns[c], cell = table.rows[r][c];
    return numeric ? table.sort[r][c] : (arm ? armOf.get(cell) : null) ?? cell;
  };
  const compare = (a, b) => {
    if (a === null || b === null) return 0;
    return typeof a === "number" && typeof b === "number" ? a - b : collator.compare(a, b);
  };
  const order = () => {
    const { column = null, up } = state.sorts[index] ?? {}, sign = up ? 1 : -1;
    const keyed = rows.map((row) => ({ ...row, key: column === null ? null : key(row.r, column) }));
    keyed.sort((a, b) => (a.key === null) - (b.key === null) || sign * compare(a.key, b.key) || a.r - b.r);
    body.replaceChildren(...keyed.map(({ tr }) => tr));
    heads.forEach((th, c) => th.setAttribute("aria-sort", c !== column ? "none" : up ? "ascending" : "descending"));
  };
  // Up, down, and back to the order of the report.
  const next = (c) => {
    const now = state.sorts[index];
    state.sorts[index] = now?.column !== c ? { column: c, up: true } : now.up ? { column: c, up: false } : undefined;
    order();
  };
  const heads = columns.map(({ header, numeric }, c) =>
    el("th", { scope: "col", class: numeric ? "number" : null }, button(bdi(header), () => next(c))));
  order();
  view.update.push(() => {
    const drawn = view.drawn();
    rows.forEach(({ tr, arms }) => { tr.hidden = state.onlyDrawn && arms.length > 0 && !arms.some((arm) => drawn.has(arm)); });
  });
  return el("section", { class: "table" },
    el("h3", {}, bdi(table.name)),
    el("p", {}, prose(table.caption), " ", fileLink(table.csv, "CSV file")),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Table ${table.name}` },
      el("table", {}, el("thead", {}, el("tr", {}, heads)), body)));
}

function figureSection(figures) {
  const section = el("section", { id: "figures" }, el("h2", {}, "Figures"));
  figures.forEach(({ src, alt, caption }) => {
    const drop = () => { figure.remove(); section.hidden = !section.querySelector("figure"); };
    const figure = el("figure", {},
      el("a", { href: beside(src) }, el("img", { src: beside(src), alt, onerror: drop })),
      el("figcaption", {}, prose(caption)));
    section.append(figure);
  });
  return section;
}

// ---- Pages ----

const data = JSON.parse(document.getElementById("data").textContent);
const main = document.getElementById("main");
const states = new Map();
let current = null;
let overviewScroll = 0;

const address = (study) => `#/${encodeURIComponent(study.name)}`;
const outcomes = ({ runs }) => ["finished", "diverged", "failed", "missing"].filter((kind) => runs[kind]).map((kind) => [kind, runs[kind]]);

function runsLine(study) {
  const parts = outcomes(study), slice = ([kind, n]) => el("i", { class: kind, style: `flex-grow:${n}` });
  return el("div", { class: "runs" },
    el("span", { class: "bar", "aria-hidden": "true" }, parts.map(slice)),
    `${plural(study.arms.length, "arm")}, ${parts.map(([kind, n]) => `${number(n)} ${kind}`).join(", ") || "no runs yet"}`);
}

function showOverview(missing) {
  main.replaceChildren(el("h1", { tabindex: "-1" }, bdi(data.title)),
    missing ? el("p", { class: "note" }, "This page has no study called ", bdi(missing), ".") : "",
    data.studies.length ? "" : el("p", { class: "empty" }, "There is no study yet."),
    el("ul", { class: "studies" }, data.studies.map((study) => el("li", {},
      el("h2", {}, el("a", { href: address(study) }, prose(study.question))),
      el("p", {}, prose(study.answer)),
      el("div", { class: "meta" }, el("code", {}, bdi(study.name)), runsLine(study))))));
  document.title = data.title;
}

function freshState(study, axes) {
  return {
    curve: 0, yLog: study.curves.map((curve) => curve.log), xLog: false, band: true, zoom: { x: null, y: null },
    coloring: defaultColoring(study, axes), ticked: suggested(study), search: "", chips: new Map(), pinned: [], onlyDrawn: false, sorts: [],
  };
}

function showStudy(study) {
  const axes = axesOf(study), at = data.studies.indexOf(study);
  // What was chosen lasts while the page is open.
  if (!states.has(study)) states.set(study, freshState(study, axes));
  const state = states.get(study);
  // All that the parts of the page share; `links` follow the highlight, `update` what is drawn.
  const view = { study, axes, state, links: [], update: [], lines: [], zoomed: [], hovered: null, plot: null, spot: null };
  const isDrawn = (i) => (state.ticked.has(i) && listed(view, i)) || state.pinned.includes(i);
  view.drawn = () => new Set(study.arms.map((_, i) => i).filter(isDrawn));
  view.unpin = button("Clear highlight", () => pin(view, state.pinned));
  const toChart = () => view.host.scrollIntoView({ block: "center" });
  view.preview = button(el("canvas"), toChart, { class: "preview", hidden: true, "aria-label": "Go to the chart" });
  const step = (other, text) => (other ? el("a", { href: address(other) }, text) : null);
  const onlyDrawn = (on) => { state.onlyDrawn = on; refresh(view); };
  const jump = (id, text) => button(text, () => document.getElementById(id).scrollIntoView());
  const { curves, tables, runs } = study, figures = study.figures.filter(({ src }) => beside(src));
  const lacking = runs.failed + runs.missing, rests = runs.finished + runs.diverged ? "; what stands here rests on the others" : "";
  main.replaceChildren(
    el("nav", { "aria-label": "Studies" }, el("a", { href: "#/" }, "← All studies"),
      step(data.studies[at - 1], "Previous"), step(data.studies[at + 1], "Next")),
    el("p", { class: "meta" }, el("code", {}, bdi(study.name)), runsLine(study)),
    el("h1", { tabindex: "-1" }, prose(study.question)),
    el("p", { class: "answer" }, prose(study.answer)),
    lacking ? el("p", { class: "warning" }, `${plural(lacking, "run")} ${lacking === 1 ? "has" : "have"} no result yet${rests}.`) : "",
    study.hypothesis ? el("p", {}, el("strong", {}, "Hypothesis. "), prose(study.hypothesis)) : "",
    el("p", {}, "Arms are compared by ", el("code", {}, bdi(study.metric)),
      study.higher_is_better ? "; higher is better. " : "; lower is better. ", fileLink(study.report, "Full report")),
    el("nav", { class: "tools jump", "aria-label": "On this page" }, curves.length ? jump("curves", "Curves") : null,
      tables.length ? jump("tables", plural(tables.length, "table")) : null,
      figures.length ? jump("figures", plural(figures.length, "figure")) : null),
    curves.length ? curveSection(view) : el("p", { class: "empty" }, "This study has no curves."),
    tables.length ? el("section", { id: "tables" }, el("h2", {}, "Tables"),
      el("p", { class: "hint" }, "A column's heading sorts by it. Pointing at a row highlights the curve of its arm; "
        + "a click keeps it so, and draws the arm if it isn't."),
      el("div", { class: "tools" }, check("only rows of the arms that are drawn", state.onlyDrawn, onlyDrawn)),
      tables.map((table, i) => tableSection(view, table, i))) : "",
    figures.length ? figureSection(figures) : "",
    view.preview);
  document.title = `${study.name} – ${data.title}`;
  current = view;
  refresh(view);
  if (!view.host) return;
  view.watch = [
    new ResizeObserver(() => { if (!printing && view.host.clientWidth !== view.plot?.width) view.plot?.setSize(chartSize(view)); }),
    new IntersectionObserver(([{ isIntersecting }]) => { view.outOfSight = !isIntersecting; drawPreview(view); }),
  ];
  view.watch.forEach((watch) => watch.observe(view.host));
}

function route(event) {
  const wanted = (() => { try { return decodeURIComponent(location.hash.slice(2)); } catch { return location.hash.slice(2); } })();
  const study = data.studies.find((candidate) => candidate.name === wanted);
  if (current) {
    current.watch?.forEach((watch) => watch.disconnect());
    current.plot?.destroy();
    current = null;
  } else if (event) overviewScroll = lastScroll;
  if (study) showStudy(study); else showOverview(wanted);
  scrollTo(0, study ? 0 : overviewScroll);
  // Whoever reads by keyboard or ear starts at the new page's heading.
  if (event) main.querySelector("h1").focus({ preventScroll: true });
}

// The browser moves before it tells of the new address, so the place on the overview is noted as it goes.
let lastScroll = 0;
addEventListener("scroll", () => { if (!current) lastScroll = scrollY; }, { passive: true });
history.scrollRestoration = "manual";
addEventListener("hashchange", route);
addEventListener("keydown", ({ key }) => { if (key === "Escape" && current?.state.pinned.length) pin(current, current.state.pinned); });
const restyle = () => { if (current) refresh(current); };
dark.addEventListener("change", restyle);
// Paper is light and narrow.
for (const [type, on] of [["beforeprint", true], ["afterprint", false]]) addEventListener(type, () => { printing = on; restyle(); });
route();
