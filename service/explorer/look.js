// The view Look: what the network says of a picture, and why.

import { call, curl, getJson } from "./api.js";
import { COLORMAPS } from "./colormaps.js";
import { choice, copyButton, h, percent, slider } from "./dom.js";
import { Explanation } from "./explanation.js";
import { defaults } from "./heat.js";
import { onPicture, picture, showFacts } from "./picture.js";
import { complain, say } from "./say.js";
import { onState, setState, state } from "./state.js";

const TOP = 5;

let models = [];
let methods = [];
let root = null;
let parts = null;
let abort = new AbortController();
let shown = "";
let explanations = [];
const how = defaults();

/** Once, with the served models and the explanation methods. */
export function start(served, explaining) {
  models = served;
  methods = explaining;
  onPicture(() => { shown = ""; refresh(); });
  onState(refresh);
}

/** Show the view. */
export function enter(content) {
  root = content;
  parts = {
    predictions: h("ol.predictions"),
    search: h("input", { type: "search", placeholder: "Another class…", aria: { label: "Search all classes" },
      on: { input: search } }),
    found: h("ul.found"),
    curl: h("pre"),
    maps: h("div.maps"),
  };
  const whole = h("div.look", {},
    h("section", { aria: { label: "Prediction" } }, h("h2", { textContent: "What the network says" }),
      parts.predictions, parts.search, parts.found,
      h("details", {}, h("summary", { textContent: "The same with curl" }), parts.curl)),
    h("section", { aria: { label: "Explanations" } }, h("h2", { textContent: "Why" }), controls(), parts.maps));
  root.append(whole);
  shown = "";
  refresh();
}

/** Leave it: nobody waits for its answers. */
export function leave() {
  abort.abort();
  root = null;
}

function controls() {
  const redraw = (change) => { Object.assign(how, change); for (const each of explanations) each.draw(how); };
  return h("div.controls", {},
    choice(["overlay", "mask", "cutout"], how.style, (style) => redraw({ style }), "Style", { cutout: "cut-out" }),
    choice(COLORMAPS, how.colormap, (colormap) => redraw({ colormap }), "Colors"),
    slider("Opacity", how.opacity, (opacity) => redraw({ opacity })),
    slider("Pixels shown", how.fraction, (fraction) => redraw({ fraction: Math.max(0.01, fraction) })));
}

async function search() {
  const text = parts.search.value.trim();
  if (!text) { parts.found.replaceChildren(); return; }
  const { classes } = await getJson(`v1/models/${state().model}/classes`, { query: { q: text } });
  parts.found.replaceChildren(...classes.slice(0, 12).map(({ index, label }) => h("li", {},
    h("button.link", { type: "button", textContent: label, on: { click: () => {
      parts.search.value = "";
      parts.found.replaceChildren();
      setState({ target: String(index) });
    } } }))));
}

function refresh() {
  const current = picture();
  const { model, target } = state();
  if (!root || !current) {
    if (root) parts.predictions.replaceChildren(h("li.hint", { textContent: "No picture yet: choose one, or click a sample." }));
    return;
  }
  const wanted = JSON.stringify([model, target, current.url]);
  if (wanted === shown) return;
  shown = wanted;
  abort.abort();
  abort = new AbortController();
  see(current, model, target, abort.signal).catch((error) => {
    if (error.name !== "AbortError") {
      parts.predictions.replaceChildren();
      parts.maps.replaceChildren();
      complain(error);
    }
  });
}

async function see(current, model, target, signal) {
  say("Classifying…");
  const card = models.find((each) => each.name === model);
  const query = { model, top_k: Math.min(TOP, card.num_classes) };
  const found = await getJson("v1/classify", { query, body: current.blob, signal });
  showFacts(found.image);
  parts.curl.textContent = curl("v1/classify", query, current.name);
  const chosen = target ?? String(found.predictions[0].class_index);
  showPredictions(found.predictions, chosen);
  say("");
  await explain(card, { picture: current, model, target: chosen, signal });
}

function showPredictions(predictions, chosen) {
  parts.predictions.replaceChildren(...predictions.map((each) => {
    const index = String(each.class_index);
    const bar = h("span.bar");
    bar.style.width = `${100 * each.probability}%`;
    return h("li", {}, h("button.prediction", { type: "button", aria: { pressed: String(index === chosen) },
      title: "Explain this class", on: { click: () => setState({ target: index }) } },
    bar, h("span", { textContent: each.label }), h("span.number", { textContent: percent(each.probability) })));
  }));
}

async function explain(card, context) {
  const applicable = methods.filter(({ name }) => card.explanations.includes(name));
  // Quick ones first; the service runs them one after another anyway.
  const order = [...applicable].sort((one, other) => one.forwards - other.forwards);
  const shown = new Map(applicable.map((method) => [method, new Explanation(method)]));
  explanations = [...shown.values()];
  parts.maps.replaceChildren(...explanations.map((each) => each.element));
  context.under = await view(context).catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  for (const each of order.map((method) => shown.get(method))) {
    try {
      await each.load(context);
      each.draw(how);
    } catch (error) {
      if (error.name === "AbortError") return;
      each.fail(error);
    }
  }
}

/** The picture the model sees. */
async function view({ picture: current, model, signal }) {
  const response = await call("v1/view", { query: { model }, body: current.blob, accept: "image/png", signal });
  return createImageBitmap(await response.blob());
}
