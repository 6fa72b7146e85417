// The view Map: a projection of a collection, followed while it is made, looked into.

import { call, getJson } from "./api.js";
import { collectionChoice, collectionPath, current, itemButton, listCollections, thumbnail } from "./collections.js";
import { MOST_LABELS, OTHER, css, labelColors } from "./colormaps.js";
import { button, choice, field, h, percent } from "./dom.js";
import { picture } from "./picture.js";
import { attempt, say } from "./say.js";
import { Scatter } from "./scatter.js";
import { setState, state } from "./state.js";
import { View } from "./view.js";

const COLORS = { label: "Color by label", prediction: "Color by prediction", preserved: "Color by trust" };
const MOST_LISTED = 200;

let parts = null;
let plot = null;
let methods = [];
const asked = {};
let projections = [];
let points = [];
let colorBy = "label";

export const map = new View({
  title: "Map",
  build() {
    parts = {
      controls: h("div.controls"), progress: h("div"), plot: h("div.plot"), tip: h("div.tip", { hidden: true }),
      facts: h("p.hint"), legend: h("div.legend"), selected: h("div.items.small"),
      place: button("Place the current picture", () => attempt(placePicture), { disabled: true }),
    };
    plot = new Scatter(parts.plot, { hover, pick, select });
    parts.plot.append(parts.tip);
    return [h("h2", { textContent: "Map of a collection" }), parts.controls, parts.progress, parts.plot, parts.facts, parts.legend,
      h("p.hint", { textContent: "Drag to move (3-D: to turn), wheel to zoom, click a point to open it, Shift and drag to select." }), parts.selected];
  },
  wanted() {
    const { collection, projection } = state();
    return [collection, projection];
  },
  async load(signal) {
    if (!methods.length) ({ methods } = await getJson("v1/projections", { signal }));
    await listCollections(signal);
    ({ projections } = await getJson(path(), { signal }));
    showControls();
    const chosen = projections.find(({ id }) => id === chosenId());
    if (chosen) await open(chosen, signal);
    else clear(`${current().count} pictures: make a map of them.`);
  },
  repicture() { parts.place.disabled = !points.length; },
  close() { plot.close(); },
});

const path = (...rest) => collectionPath(current().name, "projections", ...rest);
const titled = (method, dims) => `${methods.find(({ name }) => name === method)?.title ?? method} ${dims}-D`;

/** The map that the address names, or the newest that is done. */
function chosenId() {
  const wanted = projections.find(({ id }) => id === state().projection);
  return (wanted ?? projections.find(({ status }) => status === "done"))?.id;
}

function showControls() {
  const ids = Object.fromEntries(projections.map(({ id, parameters, status, stale }) =>
    [id, `${titled(parameters.method, parameters.dims)} · ${status}${stale ? " · stale" : ""}`]));
  const makers = methods.flatMap((method) => dimensions(method).map((dims) => ({ method, dims, title: titled(method.name, dims) })));
  parts.controls.replaceChildren(
    collectionChoice(),
    ...(projections.length ? [choice(Object.keys(ids), chosenId(), (projection) => setState({ projection }), "Map", ids)] : []),
    h("span", { textContent: "New:" }),
    ...makers.map((each) => button(each.title, () => attempt(() => begin(each)), { label: `New map: ${each.title}`, title: each.method.text })),
    h("details", { open: Object.values(asked).some((value) => value !== "") }, h("summary", { textContent: "Parameters" }), ...askable().map(input)),
    choice(Object.keys(COLORS), colorBy, (by) => { colorBy = by; recolor(); }, "Colors", COLORS), parts.place);
}

/** In how many dimensions a method can lay out, as its row says. */
const dimensions = ({ parameters }) => parameters.find(({ name }) => name === "dims").choices.map(Number);

/** What can be asked of any method, each once; how many dimensions says the button. */
function askable() {
  const all = methods.flatMap((method) => method.parameters).filter(({ name }) => name !== "dims");
  return [...new Map(all.map((each) => [each.name, each])).values()];
}

/** Where a parameter is asked for; empty is as it fits. */
function input({ name, text, default: usual, choices }) {
  const label = name.replaceAll("_", " ");
  const set = (value) => { asked[name] = value; };
  const control = choices.length
    ? choice(["", ...choices], asked[name] ?? "", set, label, { "": "as it fits" })
    : field("number", usual, label, { step: "any", value: asked[name] ?? "",
      on: { input: (event) => set(event.target.value === "" ? "" : Number(event.target.value)) } });
  return h("label", { title: text }, `${label} `, control);
}

async function begin({ method, dims }) {
  const own = method.parameters.filter(({ name }) => (asked[name] ?? "") !== "");
  const json = { method: method.name, dims, ...Object.fromEntries(own.map(({ name }) => [name, asked[name]])) };
  const made = await getJson(path(), { json });
  map.renew({ projection: made.id });
}

async function open(projection, signal) {
  let now = projection;
  if (["queued", "running"].includes(now.status)) {
    now = await follow(now, signal);
    projections = projections.map((each) => (each.id === now.id ? now : each));
    showControls();
  }
  parts.progress.replaceChildren();
  if (now.status !== "done") {
    clear(`This map is ${now.status}. ${now.reason ?? ""}`);
    return;
  }
  const whole = await getJson(path(now.id), { signal });
  points = whole.points;
  const dims = whole.parameters.dims;
  plot.show(points.map(({ x, y, z }) => ([x, y, z].slice(0, dims))), points.map(() => OTHER));
  recolor();
  const { trustworthiness, knn_preservation: kept, neighbors } = whole.quality;
  parts.facts.textContent = `${points.length} pictures · trustworthiness ${trustworthiness.toFixed(3)} · ${percent(kept)} of `
    + `${neighbors} nearest neighbors stay near${whole.stale ? " · the collection has changed since" : ""}`
    + `${plot.accelerated ? "" : " · drawn without WebGL"}`;
  parts.place.disabled = !picture();
}

/** The projection when it has ended; shows how far it is. */
async function follow(projection, signal) {
  const bar = h("progress", { max: 1, value: projection.progress, aria: { label: "Progress of the map" } });
  const step = h("span.hint", { textContent: projection.step });
  const cancel = button("Cancel", () => attempt(() => call(path(projection.id), { method: "DELETE" })));
  parts.progress.replaceChildren(h("div.row", {}, bar, step, cancel));
  const response = await call(path(projection.id, "events"), { accept: "text/event-stream", signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let [text, now] = ["", projection];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return now;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      now = JSON.parse(event.slice(event.indexOf("data: ") + 6));
      bar.value = now.progress;
      step.textContent = now.step;
    }
  }
}

function clear(text) {
  points = [];
  plot.show([], []);
  parts.legend.replaceChildren();
  parts.facts.textContent = text;
  parts.place.disabled = true;
}

function recolor() {
  if (!points.length) return;
  if (colorBy === "preserved") {
    plot.paint(points.map(({ preserved }) => css("cividis", preserved)));
    parts.legend.replaceChildren(swatch(css("cividis", 0), "no neighbor stays near"), swatch(css("cividis", 1), "all stay near"));
    return;
  }
  const counts = new Map();
  for (const point of points) if (point[colorBy]) counts.set(point[colorBy], (counts.get(point[colorBy]) ?? 0) + 1);
  const names = [...counts.keys()]
    .sort((one, other) => counts.get(other) - counts.get(one) || (one < other ? -1 : 1)).slice(0, MOST_LABELS);
  const colors = labelColors(names.length);
  const color = new Map(names.map((name, index) => [name, colors[index]]));
  plot.paint(points.map((point) => color.get(point[colorBy]) ?? OTHER));
  const rest = points.some((point) => !color.has(point[colorBy])) ? [swatch(OTHER, "other")] : [];
  parts.legend.replaceChildren(...names.map((name) => swatch(color.get(name), `${name} (${counts.get(name)})`)), ...rest);
}

function swatch(color, text) {
  const made = h("span", { textContent: text });
  made.style.setProperty("--swatch", color);
  return made;
}

// ---- pointing ----

let hovered = null;

const caption = ({ label, prediction }) => label ?? prediction;

function hover(index, at) {
  if (index === hovered) return;
  hovered = index;
  parts.tip.hidden = index === null;
  if (index === null) return;
  const { id, preserved } = points[index];
  parts.tip.replaceChildren(thumbnail(current().name, id), h("div", { textContent: caption(points[index]) }),
    h("div.hint", { textContent: `${id} · ${percent(preserved)} kept near` }));
  parts.tip.style.left = `${Math.min(70, 100 * at[0] + 2)}%`;
  parts.tip.style.top = `${Math.min(70, 100 * at[1] + 2)}%`;
}

function pick(index) {
  if (index !== null) setState({ view: "gallery", item: points[index].id }, { push: true });
}

function select(indices) {
  plot.emphasize(indices);
  say(`${indices.length} pictures selected.`);
  parts.selected.replaceChildren(...indices.slice(0, MOST_LISTED).map((index) =>
    itemButton(current().name, points[index].id, caption(points[index]), () => pick(index))));
}

async function placePicture() {
  const placed = await getJson(path(chosenId(), "place"), { body: picture().blob });
  plot.mark([placed.x, placed.y, placed.z ?? 0]);
  const where = new Map(points.map((point, index) => [point.id, index]));
  plot.emphasize(placed.nearest.map(({ id: near }) => where.get(near)));
  const first = placed.nearest[0];
  say(first ? `${picture().name} falls near ${first.label ?? first.id}.` : `${picture().name} is placed.`);
}
