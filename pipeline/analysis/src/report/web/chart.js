"use strict";
// The chart of page.js: colours and dashes of the arms, scales, drawing, hover, zoom and keyboard.
// It draws what a view (see showStudy in page.js) holds, and knows nothing of lists and tables.

// ---- Colours and dashes ----

const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3], [16, 5]];
// Okabe–Ito and viridis as in the figures (figure/palette.rs). On a dark ground the colours are lighter, black turns
// white, and the ramp begins later, because its violet would not show.
const LIGHT = {
  text: "#47505c", grid: "#e4e7ec",
  categories: ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#b8a900", "#000000"],
  ramp: ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#8ccd38", "#b9c814"],
};
const DARK = {
  text: "#b4bcc8", grid: "#2b313a",
  categories: ["#2b86d9", "#e69f00", "#14b88a", "#e8702a", "#8fd3f7", "#d992ba", "#d6c828", "#f2f2f2"],
  ramp: ["#8467c9", "#6f86cf", "#4fa3c4", "#3dbba8", "#5fce83", "#9bdc5c", "#d3e54a", "#fde725"],
};
const dark = matchMedia("(prefers-color-scheme: dark)");
let printing = false;
const theme = () => (dark.matches && !printing ? DARK : LIGHT);

function ramp(index, n) {
  const colors = theme().ramp, at = n < 2 ? 0 : (index / (n - 1)) * (colors.length - 1);
  const low = Math.min(Math.floor(at), colors.length - 2);
  const mix = [1, 3, 5].map((i) => [low, low + 1].map((c) => parseInt(colors[c].slice(i, i + 2), 16)));
  return `rgb(${mix.map(([a, b]) => Math.round(a + (b - a) * (at - low)))})`;
}

// The axes that tell arms apart, each with its values in order.
function axesOf(study) {
  return study.axes.map((label, axis) => {
    const all = [...new Set(study.arms.map((arm) => arm.values[axis]))], set = all.filter((value) => value !== null);
    const numeric = set.length > 1 && set.every((value) => value.trim() !== "" && Number.isFinite(Number(value)));
    if (numeric) set.sort((a, b) => a - b);
    return { axis, label, numeric, values: all.includes(null) ? [...set, null] : set };
  }).filter(({ values }) => values.length > 1);
}

// What the colour stands for at first: the axis that tells most arms apart, unless eight colours do for the arms.
function defaultColoring(study, axes) {
  if (study.arms.length <= 8) return axes.length === 1 && axes[0].numeric ? axes[0].axis : -1;
  const usable = axes.filter(({ numeric, values }) => numeric || values.length <= 8);
  return usable.sort((a, b) => b.values.length - a.values.length || b.numeric - a.numeric)[0]?.axis ?? -1;
}

// Colour and dash of each arm, and the key to them: colour by one axis and dash by the others, or both by arm.
function looksOf(study, axes, coloring) {
  const color = (i, n, ordered) => (ordered || n > 8 ? ramp(i, n) : theme().categories[i]);
  const axis = axes.find((candidate) => candidate.axis === coloring);
  if (!axis) return { arms: study.arms.map((_, i, { length }) => ({ color: color(i, length, false), dash: DASHES[i % 5] })), key: [] };
  const rest = axes.filter((other) => other !== axis), title = rest.map(({ label }) => label).join(", ");
  const restOf = (arm) => rest.map((other) => shown(arm.values[other.axis])).join(", ");
  const kinds = [...new Set(study.arms.map(restOf))];
  const colors = axis.values.map((value, i, { length }) => ({ text: shown(value), color: color(i, length, axis.numeric), dash: [] }));
  const dashes = kinds.map((text, i) => ({ text, color: "currentColor", dash: DASHES[i % 5] }));
  const arms = study.arms.map((arm) => ({
    color: colors[axis.values.indexOf(arm.values[coloring])].color, dash: dashes[kinds.indexOf(restOf(arm))].dash,
  }));
  return { arms, key: [[axis.label, colors], ...(kinds.length > 1 && kinds.length <= 5 ? [[title, dashes]] : [])] };
}

function swatch(look) {
  const [svg, line] = ["svg", "path"].map((tag) => document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [key, value] of [["class", "swatch"], ["viewBox", "0 0 32 12"], ["aria-hidden", "true"]]) svg.setAttribute(key, value);
  line.setAttribute("d", "M1 6H31");
  svg.append(line);
  return look ? paintSwatch(svg, look) : svg;
}

function paintSwatch(svg, { color, dash }) {
  svg.firstChild.setAttribute("stroke", color);
  svg.firstChild.setAttribute("stroke-dasharray", dash.join(" ") || "none");
  return svg;
}

// ---- The chart ----

const LINEAR = { log: false, to: (v) => v, from: (v) => v, shows: () => true };
const LOG = { log: true, to: Math.log10, from: (v) => 10 ** v, shows: (v) => v > 0 };

function ticks(min, max, count, log, whole) {
  const decades = log ? Math.log10(max / min) : 0, out = [];
  const step = Math.max(1, Math.ceil(decades / count)), marks = decades * 3 <= count ? [1, 2, 5] : [1];
  for (let e = Math.floor(Math.log10(min)); decades > 1 && e <= Math.log10(max); e++) {
    if (e % step === 0) out.push(...marks.map((mark) => Number(`${mark}e${e}`)).filter((v) => v >= min && v <= max));
  }
  if (out.length > 1) return out;
  const raw = (max - min) / count, power = 10 ** Math.floor(Math.log10(raw));
  const width = Math.max([1, 2, 5, 10].find((mark) => mark * power >= raw * 0.999) * power, whole ? 1 : 0);
  const first = Math.ceil(min / width), length = Math.max(0, Math.floor(max / width) - first + 1);
  return Array.from({ length }, (_, i) => Number(((first + i) * width).toPrecision(12)));
}

// A line as it is drawn: a value that a logarithmic axis can't show is taken out, which breaks the line there.
function drawable(line, x, y) {
  const keep = line.x.map((_, i) => i).filter((i) => x.shows(line.x[i]));
  const pick = (values) => keep.map((i) => (values[i] !== null && y.shows(values[i]) ? values[i] : null));
  const out = { arm: line.arm, x: keep.map((i) => line.x[i]), median: pick(line.median), q25: pick(line.q25), q75: pick(line.q75) };
  const count = (values) => values.filter((value) => value !== null).length, has = (i) => (out.median[i] ?? null) !== null;
  out.n = count(out.median);
  out.hidden = count(line.median) - out.n;
  // Dots where a point has no neighbour to be joined to, and everywhere if the points are few.
  out.dots = new Set(out.x.filter((_, i) => has(i) && (out.n <= 12 || !(has(i - 1) || has(i + 1)))));
  return out;
}

function extent(values, scale, share) {
  const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]).map(scale.to);
  const pad = (high - low) * share || (scale.log ? 0.3 : Math.abs(low) * 0.1 || 1);
  return low <= high ? [scale.from(low - pad), scale.from(high + pad)] : null;
}

const fullX = (view) => extent(view.lines.flatMap((line) => line.x.filter((_, i) => line.median[i] !== null)), view.x, 0.012);
const rangeX = (view) => view.state.zoom.x ?? fullX(view);

// The y axis fits what is in sight, so that zooming along x opens up y as well.
function rangeY(view) {
  const kinds = view.state.band ? ["median", "q25", "q75"] : ["median"];
  const fit = ([from, to]) => extent(view.lines.flatMap((line) => kinds.flatMap((kind) =>
    line[kind].filter((v, i) => v !== null && line.x[i] >= from && line.x[i] <= to))), view.y, 0.05);
  return view.state.zoom.y ?? fit(rangeX(view)) ?? fit(fullX(view));
}

function setZoom(view, x, y) {
  view.state.zoom = { x, y };
  view.zoomed.forEach((control) => { control.disabled = !x && !y; });
  hideTip(view);
  view.plot?.setData(view.plot.data);
}

function zoomBy(view, factor, shift = 0) {
  if (!view.plot) return;
  const [least, most] = fullX(view).map(view.x.to), [low, high] = rangeX(view).map(view.x.to);
  const width = Math.min(Math.max((high - low) * factor, (most - least) / 1000), most - least);
  const start = Math.min(Math.max((low + high - width) / 2 + shift * (high - low), least), most - width);
  setZoom(view, width === most - least ? null : [start, start + width].map(view.x.from), view.state.zoom.y);
}

// The highlighted arms that have a line; nothing is dimmed for the others.
function lit(view) {
  const active = new Set(view.hovered ?? view.state.pinned);
  return new Set(view.lines.map((line) => line.arm).filter((arm) => active.has(arm)));
}

function drawBands(view, u) {
  const { ctx, bbox } = u, on = lit(view);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const { arm, x, q25, q75 } of view.state.band ? view.lines.filter((line) => !on.size || on.has(line.arm)) : []) {
    ctx.fillStyle = ctx.strokeStyle = view.looks.arms[arm].color;
    ctx.globalAlpha = on.size ? 0.25 : 1 / (5 + view.lines.length);
    for (let i = 0, run = []; i <= x.length; i++) {
      if (i < x.length && q25[i] !== null && q75[i] !== null) { run.push(i); continue; }
      ctx.beginPath();
      for (const [values, order] of [[q75, run], [q25, [...run].reverse()]]) {
        for (const k of order) ctx.lineTo(u.valToPos(x[k], "x", true), u.valToPos(values[k], "y", true));
      }
      ctx.lineWidth = 3 * devicePixelRatio;
      if (run.length === 1) ctx.stroke(); else ctx.fill();
      run = [];
    }
  }
  ctx.restore();
}

function drawChart(view) {
  const { study, state, host } = view, curve = study.curves[state.curve], drawn = view.drawn(), { text, grid } = theme();
  [view.x, view.y] = [state.xLog ? LOG : LINEAR, state.yLog[state.curve] ? LOG : LINEAR];
  const lines = curve.lines.filter((line) => drawn.has(line.arm)).map((line) => drawable(line, view.x, view.y));
  view.lines = lines.filter((line) => line.n);
  view.plot?.destroy();
  view.plot = view.spot = null;
  const hidden = lines.reduce((sum, line) => sum + line.hidden, 0), lacking = drawn.size - new Set(view.lines.map((line) => line.arm)).size;
  view.note.textContent = (hidden ? `${plural(hidden, "value")} at or below 0 can't be shown on a logarithmic axis. ` : "")
    + (lacking && view.lines.length ? `${plural(lacking, "ticked arm")} without values here.` : "");
  host.replaceChildren();
  if (!view.lines.length) {
    host.append(el("p", { class: "empty" }, drawn.size ? "The ticked arms have no values here." : "Tick an arm to see its curve."));
    return;
  }
  const whole = view.lines.every((line) => line.x.every(Number.isInteger));
  const count = (u, i, space) => Math.max(2, Math.floor((i ? u.bbox.height : u.bbox.width) / devicePixelRatio / space));
  const axis = (label, log, space, size, integers) => ({
    label, size, labelSize: 22, labelGap: 2, stroke: text, font: "12px system-ui, sans-serif", labelFont: "13px system-ui, sans-serif",
    grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 5 }, filter: (u, splits) => splits,
    splits: (u, i, min, max) => ticks(min, max, count(u, i, space), log, integers),
    values: (u, splits) => splits.map((v) => number(v, 8)),
  });
  const room = (u, texts) => Math.max(30, ...(texts ?? []).map((s) => s.length * 7 + 14));
  const scale = ({ log }, range) => ({ time: false, distr: log ? 3 : 1, range: () => range(view) });
  view.plot = new uPlot({
    ...chartSize(view), padding: [12, 26, 0, 0], legend: { show: false },
    scales: { x: scale(view.x, rangeX), y: scale(view.y, rangeY) },
    axes: [axis(curve.x, view.x.log, 76, 34, whole), axis(curve.y, view.y.log, 44, room, false)],
    series: [{}, ...view.lines.map(({ arm, dots }) => {
      const { color, dash } = view.looks.arms[arm];
      const filter = (u) => u.data[0].map((_, i) => i).filter((i) => dots.has(u.data[0][i]));
      return { stroke: color, width: 2, dash, points: { show: () => false, filter, size: 6, fill: color, stroke: color } };
    })],
    // The scales are set in setSelect, because a range of our own would overrule uPlot's.
    cursor: {
      y: false, points: { show: false }, drag: { x: true, y: true, uni: 30, dist: 6, setScale: false },
      bind: { dblclick: () => () => setZoom(view, null, null) },
    },
    hooks: {
      drawAxes: [(u) => drawBands(view, u)],
      draw: [() => drawPreview(view)],
      setSelect: [(u) => {
        const { left, top, width, height } = u.select, { x, y } = state.zoom;
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        // A selection over the whole height (or width) was meant along x (or y) alone.
        setZoom(view, width < u.over.clientWidth ? [left, left + width].map((at) => u.posToVal(at, "x")) : x,
          height < u.over.clientHeight ? [top + height, top].map((at) => u.posToVal(at, "y")) : y);
      }],
    },
  }, uPlot.join(view.lines.map((line) => [line.x, line.median])), host);
  [view.tip, view.dot] = ["tip", "dot"].map((kind) => el("div", { class: kind, hidden: true }));
  const { over } = view.plot;
  over.append(view.dot, view.tip);
  over.addEventListener("mousemove", ({ buttons, offsetX, offsetY }) => {
    const spot = buttons ? null : nearest(view, offsetX, offsetY);
    if (spot) showTip(view, spot); else hideTip(view);
  });
  over.addEventListener("mouseleave", () => hideTip(view));
  over.addEventListener("click", () => view.spot && pin(view, [view.spot.line.arm]));
  // uPlot hears mice only: a finger that moves sideways is passed on as one; up and down still scrolls the page.
  const pass = (heard, told, target) => over.addEventListener(heard, ({ pointerType, clientX, clientY }) => {
    if (pointerType === "touch") target.dispatchEvent(new MouseEvent(told, { clientX, clientY, movementX: 1, buttons: 1 }));
  });
  pass("pointerdown", "mousedown", over);
  pass("pointermove", "mousemove", over);
  for (const end of ["pointerup", "pointercancel"]) pass(end, "mouseup", document);
}

function chartSize({ host }) {
  const width = printing ? 660 : Math.max(host.clientWidth, 200);
  return { width, height: Math.round(Math.min(Math.max(width * 0.58, 270), 460)) };
}

// The line nearest to a place in the chart, its point nearest along x, and the lines that coincide with it there.
function nearest({ plot, lines }, left, top) {
  const found = lines.map((line) => {
    let distance = Infinity, index = -1, gap = Infinity, before = null;
    line.x.forEach((x, i) => {
      const here = line.median[i] === null ? null : [plot.valToPos(x, "x"), plot.valToPos(line.median[i], "y")];
      if (here) {
        const [a, b] = before ?? here, dx = here[0] - a, dy = here[1] - b;
        const along = Math.min(1, Math.max(0, ((left - a) * dx + (top - b) * dy) / (dx * dx + dy * dy || 1)));
        distance = Math.min(distance, Math.hypot(a + along * dx - left, b + along * dy - top));
        const inside = here[0] >= -1 && here[0] <= plot.over.clientWidth + 1;
        if (inside && Math.abs(here[0] - left) < gap) [gap, index] = [Math.abs(here[0] - left), i];
      }
      before = here;
    });
    return { line, index, distance };
  }).filter(({ index, distance }) => index >= 0 && distance < 50).sort((a, b) => a.distance - b.distance);
  const at = ({ line, index }) => `${line.x[index]} ${line.median[index]}`;
  const [best, ...others] = found;
  return best ? { ...best, same: others.filter((spot) => at(spot) === at(best)).map((spot) => spot.line.arm) } : null;
}

function showTip(view, spot) {
  const { plot, tip, dot, study, state, looks } = view, { line, index, same } = spot, { x, y } = study.curves[state.curve];
  const rows = [[x, number(line.x[index], 6)], [y, number(line.median[index], 5)]], [low, high] = [line.q25[index], line.q75[index]];
  if (low !== null && high !== null) rows.push(["quartiles", `${number(low, 5)} to ${number(high, 5)}`]);
  const labels = same.slice(0, 3).map((arm) => study.arms[arm].label).join(", ");
  if (same.length) rows.push(["same here", same.length > 3 ? `${labels} and ${same.length - 3} more` : labels]);
  tip.replaceChildren(el("strong", {}, swatch(looks.arms[line.arm]), bdi(study.arms[line.arm].label)),
    el("dl", {}, rows.flatMap(([term, value]) => [el("dt", {}, bdi(term)), el("dd", {}, bdi(value))])));
  tip.hidden = dot.hidden = false;
  // Beside the point, on the side that has more room.
  const left = plot.valToPos(line.x[index], "x"), top = plot.valToPos(line.median[index], "y"), { clientWidth, clientHeight } = plot.over;
  const place = (at, size, most) => `${Math.max(0, Math.min(most - size, at))}px`;
  Object.assign(dot.style, { left: `${left}px`, top: `${top}px`, borderColor: looks.arms[line.arm].color });
  tip.style.left = place(left < clientWidth / 2 ? left + 16 : left - 16 - tip.offsetWidth, tip.offsetWidth, clientWidth);
  tip.style.top = place(top - tip.offsetHeight / 2, tip.offsetHeight, clientHeight);
  view.spot = spot;
  hover(view, [line.arm]);
}

function hideTip(view) {
  if (!view.spot) return;
  view.spot = null;
  view.tip.hidden = view.dot.hidden = true;
  hover(view, null);
}

// The chart by keyboard: left and right along a line, up and down between lines, and the zoom of the buttons.
function keys(view, event) {
  const { key, shiftKey, target, currentTarget } = event, { lines, spot } = view;
  const step = { ArrowLeft: -1, ArrowRight: 1 }[key], change = { ArrowUp: -1, ArrowDown: 1 }[key];
  if (target !== currentTarget || !view.plot || event.ctrlKey || event.altKey || event.metaKey) return;
  if (key === "+" || key === "-") zoomBy(view, key === "+" ? 0.5 : 2);
  else if (key === "0") setZoom(view, null, null);
  else if (key === "Enter" && spot) pin(view, [spot.line.arm]);
  else if (step && shiftKey) zoomBy(view, 1, step * 0.25);
  else if (step || change) {
    const [from, to] = rangeX(view), at = spot?.line.x[spot.index] ?? from;
    const line = lines[(lines.indexOf(spot?.line ?? lines[0]) + (change ?? 0) + lines.length) % lines.length];
    const seen = line.x.map((_, i) => i).filter((i) => line.median[i] !== null && line.x[i] >= from && line.x[i] <= to);
    const ahead = (i) => (step && spot ? line.x[i] > at : line.x[i] >= at);
    const index = step < 0 ? seen.findLast((i) => line.x[i] < at) ?? seen[0] : seen.find(ahead) ?? seen.at(-1);
    if (seen.length) showTip(view, { line, index, same: [] });
    view.says.textContent = seen.length ? view.tip.innerText : "";
  } else return;
  event.preventDefault();
}

// While a table's row is highlighted and the chart is out of sight, a small copy of the chart shows in the corner.
function drawPreview(view) {
  const { preview, plot, outOfSight } = view, canvas = preview.firstChild;
  preview.hidden = !plot || !outOfSight || !lit(view).size;
  if (preview.hidden) return;
  [canvas.width, canvas.height] = [plot.ctx.canvas.width, plot.ctx.canvas.height];
  canvas.getContext("2d").drawImage(plot.ctx.canvas, 0, 0);
}
