"use strict";
// Everything that is shown follows from `state`; every change ends in `show`.
const DATA = JSON.parse(document.getElementById("data").textContent);
const MODES = [
  ["one", "q", "One", "one column"],
  ["slider", "s", "Slider", "first column at the left, second at the right; [ and ] move the edge, and so does the pointer"],
  ["blink", "b", "Blink", "first and second column in turn"],
  ["difference", "d", "Difference", "absolute difference of first and second column, times n; + and - change n"],
  ["all", "a", "All", "all columns side by side"],
];
const BLINK = 600; // milliseconds
const KEPT = 24; // decoded pictures
const state = {
  shot: 0, first: 0, second: Math.min(1, DATA.columns.length - 1), mode: "one",
  zoom: 1, x: 0.5, y: 0.5, gain: 8, split: 0.5, blinked: false,
};
const view = document.getElementById("view");
const decoded = new Map(); // id -> Promise of ImageBitmap, the least recently used first
let panes = [];
let timer = 0;
let drawing = 0;

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const shot = () => DATA.shots[state.shot];
const ratio = () => window.devicePixelRatio || 1;

function bitmap(column) {
  const id = `${state.shot}-${column}`;
  let found = decoded.get(id);
  decoded.delete(id);
  if (!found) {
    const text = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
    found = createImageBitmap(new Blob([bytes], { type: "image/png" }), options);
  }
  decoded.set(id, found);
  while (decoded.size > KEPT) {
    const [oldest, image] = decoded.entries().next().value;
    decoded.delete(oldest);
    image.then((one) => setTimeout(() => one.close(), 5000));
  }
  return found;
}

function difference(a, b, gain) {
  const [pa, pb] = [a, b].map((image) => {
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, image.width, image.height);
  });
  for (let i = 0; i < pa.data.length; i += 4)
    for (let c = i; c < i + 3; c++) pa.data[c] = gain * Math.abs(pa.data[c] - pb.data[c]); // clamps
  const canvas = new OffscreenCanvas(a.width, a.height);
  canvas.getContext("2d").putImageData(pa, 0, 0);
  return canvas;
}

function shown() { // what each pane has: columns, and what it is called
  if (state.mode === "all") return DATA.columns.map((_, i) => [i]);
  if (state.mode === "one") return [[state.first]];
  if (state.mode === "blink") return [[state.blinked ? state.second : state.first]];
  return [[state.first, state.second]];
}

function layout() {
  const wanted = shown();
  while (panes.length > wanted.length) panes.pop().element.remove();
  while (panes.length < wanted.length) {
    const element = document.createElement("div");
    element.className = "pane";
    const canvas = document.createElement("canvas");
    const caption = document.createElement("p");
    element.append(canvas, caption);
    view.append(element);
    listen(canvas);
    panes.push({ element, canvas, caption });
  }
  view.classList.toggle("slider", state.mode === "slider");
  return wanted;
}

function captionOf(columns) {
  const one = shot();
  const names = columns.map((i) => DATA.columns[i]);
  const joint = state.mode === "slider" ? " | " : " \u2212 ";
  let text = names.join(joint);
  if (state.mode === "difference") text = `|${text}| \u00d7 ${state.gain}`;
  const about = [`frame ${one.frame}`, one.type || "type unknown", one.time, one.scene, one.why];
  if (DATA.clips.length > 1) about.push(one.clip);
  return [text, about.join(" \u00b7 ")];
}

async function show() {
  const mine = ++drawing;
  const wanted = layout();
  const images = await Promise.all(wanted.map((columns) => Promise.all(columns.map(bitmap))));
  if (mine !== drawing) return; // something newer is being drawn
  wanted.forEach((columns, i) => {
    const { canvas, caption } = panes[i];
    const [name, about] = captionOf(columns);
    const strong = document.createElement("b");
    strong.textContent = name;
    caption.replaceChildren(strong, ` ${about}`);
    caption.title = caption.textContent;
    const scale = ratio();
    const box = canvas.getBoundingClientRect();
    canvas.width = Math.max(1, Math.round(box.width * scale));
    canvas.height = Math.max(1, Math.round(box.height * scale));
    draw(canvas, images[i]);
  });
  controls();
  Object.assign(document.body.dataset, {
    mode: state.mode, shot: state.shot, first: state.first, second: state.second,
    zoom: state.zoom, x: state.x, y: state.y, gain: state.gain, split: state.split,
    blinked: state.blinked, drawn: mine,
  });
}

function corner(canvas, image) { // of the picture on the canvas, whole pixels
  return [
    Math.round(canvas.width / 2 - state.x * image.width * state.zoom),
    Math.round(canvas.height / 2 - state.y * image.height * state.zoom),
  ];
}

function draw(canvas, images) {
  const context = canvas.getContext("2d");
  const [a, b] = images;
  const [left, top] = corner(canvas, a);
  const [width, height] = [a.width * state.zoom, a.height * state.zoom];
  context.imageSmoothingEnabled = state.zoom < 1;
  context.imageSmoothingQuality = "high";
  if (!b) return void context.drawImage(a, left, top, width, height);
  if (state.mode === "difference")
    return void context.drawImage(difference(a, b, state.gain), left, top, width, height);
  const edge = Math.round(state.split * canvas.width);
  [[a, 0, edge], [b, edge, canvas.width - edge]].forEach(([image, from, wide]) => {
    context.save();
    context.beginPath();
    context.rect(from, 0, wide, canvas.height);
    context.clip();
    context.drawImage(image, left, top, width, height);
    context.restore();
  });
  context.fillStyle = "#f0a020";
  context.fillRect(edge, 0, 1, canvas.height);
}

function change(values) {
  Object.assign(state, values);
  if (state.mode !== "blink") state.blinked = false;
  clearInterval(timer);
  if (state.mode === "blink")
    timer = setInterval(() => { state.blinked = !state.blinked; show(); }, BLINK);
  return show();
}

function zoom(factor, canvas, point) { // keeps what lies under the point where it is
  const { width, height } = shot();
  const next = clamp(state.zoom * factor, 1 / 16, 32);
  const shift = point ? [point[0] - canvas.width / 2, point[1] - canvas.height / 2] : [0, 0];
  const move = 1 / state.zoom - 1 / next;
  change({
    zoom: next,
    x: clamp(state.x + (shift[0] * move) / width, 0, 1),
    y: clamp(state.y + (shift[1] * move) / height, 0, 1),
  });
}

function fit() {
  const { width, height } = shot();
  const { canvas } = panes[0];
  change({ zoom: Math.min(canvas.width / width, canvas.height / height), x: 0.5, y: 0.5 });
}

function listen(canvas) {
  let held = null;
  const at = (event) => [event.offsetX * ratio(), event.offsetY * ratio()];
  canvas.addEventListener("pointerdown", (event) => {
    held = { from: at(event), x: state.x, y: state.y };
    canvas.setPointerCapture(event.pointerId);
    view.focus({ preventScroll: true });
  });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("pointercancel", () => { held = null; });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = at(event);
    if (held) {
      const { width, height } = shot();
      change({
        x: clamp(held.x - (x - held.from[0]) / (width * state.zoom), 0, 1),
        y: clamp(held.y - (y - held.from[1]) / (height * state.zoom), 0, 1),
      });
    } else if (state.mode === "slider") change({ split: clamp(x / canvas.width, 0, 1) });
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoom(event.deltaY < 0 ? 2 : 0.5, canvas, at(event));
  }, { passive: false });
}

const step = (by) => change({ shot: (state.shot + by + DATA.shots.length) % DATA.shots.length });
const KEYS = [
  [["1", "9"], "column 1 to 9; with Shift the second column", null],
  [["ArrowLeft", "ArrowRight"], "frame before, frame after", (key) => step(key === "ArrowLeft" ? -1 : 1)],
  [["ArrowUp", "ArrowDown"], "column before, column after", (key) => {
    const count = DATA.columns.length;
    change({ first: (state.first + (key === "ArrowUp" ? count - 1 : 1)) % count });
  }],
  [[" "], "first and second column change places", () => change({ first: state.second, second: state.first })],
  ...MODES.map(([mode, key, , meaning]) => [[key], meaning, () => change({ mode })]),
  [["+", "-"], "difference times twice or half as much", (key) =>
    change({ gain: clamp(state.gain * (key === "-" ? 0.5 : 2), 1, 128) })],
  [["[", "]"], "edge of the slider to the left, to the right", (key) =>
    change({ split: clamp(state.split + (key === "[" ? -0.05 : 0.05), 0, 1) })],
  [["z"], "100 %", () => change({ zoom: 1 })],
  [["f"], "fit into the window", fit],
  [["i", "o"], "zoom in, zoom out", (key) => zoom(key === "i" ? 2 : 0.5)],
  [["t"], "strips over time", () => document.getElementById("over-time").scrollIntoView()],
  [["m"], "measures", () => document.getElementById("measures").scrollIntoView()],
  [["p"], "pictures", () => view.scrollIntoView({ block: "end" })],
  [["h", "?"], "this list", () => { const box = document.getElementById("help"); box.open ? box.close() : box.showModal(); }],
];
const NAMES = { ArrowLeft: "\u2190", ArrowRight: "\u2192", ArrowUp: "\u2191", ArrowDown: "\u2193", " ": "Space" };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const digit = /^Digit([1-9])$/.exec(event.code);
  if (digit) {
    const column = Number(digit[1]) - 1;
    if (column < DATA.columns.length) change(event.shiftKey ? { second: column } : { first: column });
    return;
  }
  const key = event.key === "=" ? "+" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const found = KEYS.find(([keys, , action]) => action && keys.includes(key));
  if (!found) return;
  event.preventDefault();
  found[2](key);
});

function button(parent, text, title, action) {
  const made = document.createElement("button");
  made.textContent = text;
  made.title = title;
  made.addEventListener("click", (event) => { made.blur(); action(event); });
  parent.append(made);
  return made;
}

const shots = document.getElementById("shots");
DATA.shots.forEach((one, i) => {
  const clip = DATA.clips.length > 1 ? `${one.clip}: ` : "";
  shots.add(new Option(`${i + 1}/${DATA.shots.length}  ${clip}frame ${one.frame}, ${one.why}`, i));
});
shots.addEventListener("change", () => { change({ shot: Number(shots.value) }); shots.blur(); });
const columnButtons = DATA.columns.map((name, i) =>
  button(document.getElementById("columns"), `${i + 1} ${name}`, "click: first column; Shift and click: second", (event) =>
    change(event.shiftKey ? { second: i } : { first: i })));
const modeButtons = MODES.map(([mode, key, name, meaning]) =>
  button(document.getElementById("modes"), name, `${meaning} (${key.toUpperCase()})`, () => change({ mode })));
const zooms = document.getElementById("zooms");
const zoomButton = button(zooms, "100 %", "100 % (Z)", () => change({ zoom: 1 }));
button(zooms, "Fit", "fit into the window (F)", fit);
document.getElementById("help-button").addEventListener("click", () => document.getElementById("help").showModal());
document.getElementById("help").addEventListener("click", (event) => event.currentTarget.close());
const keys = document.getElementById("keys");
KEYS.forEach(([names, meaning]) => {
  const term = document.createElement("dt");
  names.forEach((name) => {
    const kbd = document.createElement("kbd");
    kbd.textContent = NAMES[name] || name.toUpperCase();
    term.append(kbd, " ");
  });
  const text = document.createElement("dd");
  text.textContent = meaning;
  keys.append(term, text);
});

function controls() {
  shots.value = state.shot;
  columnButtons.forEach((one, i) => {
    one.classList.toggle("on", i === state.first);
    one.classList.toggle("second", i === state.second);
  });
  modeButtons.forEach((one, i) => one.classList.toggle("on", MODES[i][0] === state.mode));
  zoomButton.textContent = `${Math.round(state.zoom * 100)} %`;
  document.getElementById("gain").textContent = state.mode === "difference" ? `\u00d7 ${state.gain}` : "";
}

window.addEventListener("resize", show);
view.focus({ preventScroll: true });
show();
