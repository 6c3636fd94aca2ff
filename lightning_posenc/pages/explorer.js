"use strict";
const found = JSON.parse(document.getElementById("data").textContent);
const by = (id) => document.getElementById(id);
// cividis: told apart by any colour vision, and in grey.
const STOPS = [[0, 34, 78], [18, 53, 112], [59, 73, 108], [87, 93, 109], [112, 113, 115], [138, 134, 120],
  [165, 156, 116], [195, 179, 105], [225, 204, 85], [254, 232, 56]];
const COLOURS = ["#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"];
const state = { length: 0, layer: 0, head: 0, query: null };

function colour(step) { // of 0..255, the square root of a weight
  const at = step / 255 * (STOPS.length - 1), i = Math.min(Math.floor(at), STOPS.length - 2), f = at - i;
  return STOPS[i].map((low, c) => Math.round(low + f * (STOPS[i + 1][c] - low)));
}
const TABLE = Array.from({ length: 256 }, (_, i) => colour(i));
const unpacked = new Map();
function map(length, layer) {
  const key = length + "/" + layer;
  if (!unpacked.has(key)) unpacked.set(key, Uint8Array.from(atob(found.lengths[length].maps[layer]), (c) => c.charCodeAt(0)));
  return unpacked.get(key);
}
function steps(length, layer, head) { // one head's cells, row by row
  const at = found.lengths[length], size = at.rows * at.columns;
  return map(length, at.layers[layer]).subarray(head * size, (head + 1) * size);
}
const weight = (step) => (step / 255) ** 2;
const most = (cells) => Math.max(1, cells.reduce((a, b) => Math.max(a, b), 0)); // of a head: its brightest
const shade = (step, top) => TABLE[Math.min(255, Math.round(step * 255 / top))];
function paint(canvas, cells, rows, columns, row) {
  const top = most(cells);
  canvas.width = columns; canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const dim = row === null || Math.floor(i / columns) === row ? 1 : 0.55;
    const [r, g, b] = shade(cells[i], top);
    image.data.set([r * dim, g * dim, b * dim, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}
function options(select, values, chosen) {
  select.replaceChildren(...values.map((value, i) => new Option(value, i, false, i === chosen)));
}
function range(at, i) { // the tokens of a cell
  const low = i * at.each, high = Math.min(low + at.each, at.tokens.length) - 1;
  return low >= high ? "" + low : low + "–" + high;
}
function summary(at, cells, row) {
  const say = (x) => (100 * x).toFixed(1) + " %";
  if (row === null) {
    let own = 0, before = 0, first = 0, best = 0;
    for (let r = 0; r < at.rows; r++) {
      const line = cells.subarray(r * at.columns, (r + 1) * at.columns);
      own += weight(line[r] ?? 0); before += r ? weight(line[r - 1]) : 0; first += weight(line[0]);
      best += weight(Math.max(...line));
    }
    return `Layer ${at.layers[state.layer]}, head ${at.heads[state.head]}, mean over queries: ${say(own / at.rows)} on itself, ` +
      `${say(before / at.rows)} on the one before, ${say(first / at.rows)} on the first, ${say(best / at.rows)} on the best key.`;
  }
  const line = Array.from(cells.subarray(row * at.columns, (row + 1) * at.columns), weight);
  const order = line.map((w, i) => [w, i]).sort((a, b) => b[0] - a[0]).slice(0, 4);
  const named = (i) => at.each === 1 && at.tokens[i] !== undefined ? `${i} “${at.tokens[i]}”` : range(at, i);
  return `Query ${named(row)} looks at ` + order.map(([w, i]) => `${named(i)}: ${say(w)}`).join(", ") + ".";
}
function element(name, attributes, text) {
  const made = document.createElementNS(by("svg").namespaceURI, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
function number(x) { return Math.abs(x) >= 0.001 && Math.abs(x) < 1e5 || x === 0 ? String(Number(x.toPrecision(3))) : x.toExponential(1); }
function ticks(low, high) { // round numbers around
  if (high <= low) return [low];
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
  const made = [];
  for (let i = Math.floor(low / step + 1e-9); i <= Math.ceil(high / step - 1e-9); i++) made.push(Number((i * step).toPrecision(12)));
  return made;
}
function chart(title, axis, curves, zero) { // curves: {name, colour, points: [[x, y], …]}
  const W = 340, H = 190, L = 46, R = 10, A = 10, B = 34;
  const points = curves.flatMap((c) => c.points).filter(([, y]) => y !== null);
  if (!points.length) return null;
  const xs = points.map((p) => p[0]), ys = points.map((p) => p[1]);
  const x0 = Math.min(...xs), x1 = Math.max(...xs);
  const up = ticks(Math.min(0, ...ys), Math.max(0, ...ys) || (Math.min(...ys) < 0 ? 0 : 1)), y0 = up[0], y1 = up[up.length - 1];
  const px = (x) => L + (x1 > x0 ? (x - x0) / (x1 - x0) : 0.5) * (W - L - R), py = (y) => H - B - (y - y0) / (y1 - y0) * (H - A - B);
  const svg = element("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": title + ": " + curves.map((c) =>
    `${c.name} from ${number(c.points[0][1] ?? 0)} to ${number(c.points[c.points.length - 1][1] ?? 0)}`).join("; ") });
  for (const y of up) {
    svg.append(element("line", { x1: L, x2: W - R, y1: py(y), y2: py(y), class: "grid" }), element("text", { x: L - 5, y: py(y) + 3.5, "text-anchor": "end" }, number(y)));
  }
  for (const x of ticks(x0, x1)) if (x >= x0 && x <= x1 && Number.isInteger(x)) svg.append(element("text", { x: px(x), y: H - B + 13, "text-anchor": "middle" }, number(x)));
  if (zero) svg.append(element("line", { x1: px(0), x2: px(0), y1: A, y2: H - B, class: "grid", "stroke-dasharray": "3 3" }));
  svg.append(element("line", { x1: L, x2: W - R, y1: H - B, y2: H - B, class: "axis" }));
  for (const c of curves) {
    const known = c.points.filter(([, y]) => y !== null);
    svg.append(element("polyline", { points: known.map(([x, y]) => px(x).toFixed(1) + "," + py(y).toFixed(1)).join(" "), fill: "none", stroke: c.colour, "stroke-width": c.bold ? 2.4 : 1.4 }));
    if (known.length < 30) for (const [x, y] of known) svg.append(element("circle", { cx: px(x), cy: py(y), r: 2.2, fill: c.colour }));
  }
  svg.append(element("text", { x: (L + W - R) / 2, y: H - 4, "text-anchor": "middle" }, axis));
  const figure = document.createElement("figure"), caption = document.createElement("figcaption"), legend = document.createElement("div");
  figure.className = "chart"; caption.textContent = title; legend.className = "legend";
  for (const c of curves) {
    const entry = document.createElement("span"), dot = document.createElement("i");
    dot.style.background = c.colour; entry.append(dot, c.name); legend.append(entry);
  }
  figure.append(caption, svg, legend);
  return figure;
}
function charts() {
  const made = [], at = found.lengths[state.length];
  const curves = found.lengths.map((each, i) => {
    const layer = each.layers.includes(at.layers[state.layer]) ? at.layers[state.layer] : each.layers[0];
    const head = each.distances[layer] && each.distances[layer][state.head];
    return head ? { name: found.axis + " " + each.length, colour: COLOURS[i % COLOURS.length], bold: i === state.length,
      points: head.map((w, d) => [d - each.most_distance, w]) } : null;
  }).filter(Boolean);
  made.push(chart(`Weight by distance: layer ${at.layers[state.layer]}, head ${at.heads[state.head]}`, "query minus key, in tokens", curves, true));
  for (const [name, title] of Object.entries(found.titles)) {
    made.push(chart(title[0].toUpperCase() + title.slice(1), found.depth_axis[name], found.lengths.map((each, i) => ({ name: found.axis + " " + each.length,
      colour: COLOURS[i % COLOURS.length], bold: i === state.length,
      points: Object.entries(each.depth[name] || {}).map(([k, v]) => [Number(k), v]) })).filter((c) => c.points.length)));
  }
  by("charts").replaceChildren(...made.filter(Boolean));
}
function overview() {
  const at = found.lengths[state.length], grid = by("overview"), shown = [];
  grid.style.gridTemplateColumns = `max-content repeat(${at.heads.length}, minmax(2.6rem, 6rem))`;
  shown.push(document.createElement("span"));
  for (const head of at.heads) { const s = document.createElement("span"); s.textContent = "head " + head; shown.push(s); }
  at.layers.forEach((layer, i) => {
    const s = document.createElement("span"); s.textContent = "layer " + layer; shown.push(s);
    at.heads.forEach((head, j) => {
      const button = document.createElement("button"), canvas = document.createElement("canvas");
      button.setAttribute("aria-label", `layer ${layer}, head ${head}`);
      button.setAttribute("aria-pressed", i === state.layer && j === state.head);
      paint(canvas, steps(state.length, i, j), at.rows, at.columns, null);
      button.append(canvas);
      button.onclick = () => { state.layer = i; state.head = j; draw(); };
      shown.push(button);
    });
  });
  grid.replaceChildren(...shown);
  const some = at.layers.length < at.n_layers || at.heads.length < at.n_heads;
  by("left-out").textContent = some ? ` ${at.layers.length} of ${at.n_layers} layers and ${at.heads.length} of ${at.n_heads} heads are in this page.` : "";
}
function draw() {
  const at = found.lengths[state.length];
  state.layer = Math.min(state.layer, at.layers.length - 1); state.head = Math.min(state.head, at.heads.length - 1);
  if (state.query !== null && state.query >= at.rows) state.query = null;
  options(by("length"), found.lengths.map((each) => each.length), state.length);
  options(by("layer"), at.layers, state.layer); options(by("head"), at.heads, state.head);
  const cells = steps(state.length, state.layer, state.head), text = summary(at, cells, state.query);
  paint(by("map"), cells, at.rows, at.columns, state.query);
  by("map").setAttribute("aria-label", text); by("said").textContent = text;
  const top = most(cells);
  by("middle").textContent = number(weight(top / 2)); by("top").textContent = "weight " + number(weight(top));
  by("cells").textContent = at.each > 1 ? ` A cell is ${at.each} × ${at.each} tokens: the mean over queries of the sum over keys.` : "";
  by("tokens").replaceChildren(...at.tokens.map((token, i) => {
    const button = document.createElement("button"), cell = Math.floor(i / at.each);
    button.textContent = token; button.title = "token " + i;
    if (state.query !== null && cell < at.columns) {
      const [r, g, b] = shade(cells[state.query * at.columns + cell], most(cells));
      button.style.background = `rgb(${r},${g},${b})`; button.style.color = r + g + b > 380 ? "#000" : "#fff";
    }
    if (cell === state.query) button.className = "asked";
    button.onclick = () => { state.query = state.query === cell ? null : cell; draw(); };
    return button;
  }));
  overview(); charts();
}
for (const name of ["length", "layer", "head"]) by(name).onchange = (event) => { state[name] = Number(event.target.value); draw(); };
by("map").onclick = (event) => {
  const at = found.lengths[state.length], row = Math.floor(event.offsetY / event.target.clientHeight * at.rows);
  state.query = state.query === row ? null : Math.max(0, Math.min(row, at.rows - 1)); draw();
};
by("scale").style.background = `linear-gradient(to right, ${TABLE.filter((_, i) => i % 15 === 0).map((c) => `rgb(${c})`)})`;
draw();
