// The view Look: what the network says of a picture, and why.

import { curl, getBlob, getJson } from "./api.js";
import { COLORMAPS } from "./colormaps.js";
import { button, choice, field, h, percent, setShares, slider } from "./dom.js";
import { Explanation } from "./explanation.js";
import { defaults } from "./heat.js";
import { picture, showFacts } from "./picture.js";
import { attempt, during } from "./say.js";
import { setState, state } from "./state.js";
import { View } from "./view.js";

const TOP = 5;
const MOST_FOUND = 12;

let served = null;
let parts = null;
let explanations = [];
const how = defaults();

export const look = new View({
  title: "Look",
  build(all) {
    served = all;
    parts = {
      predictions: h("ol.predictions"),
      search: field("search", "Another class…", "Search all classes", { on: { input: () => attempt(search) } }),
      found: h("ul.found"),
      curl: h("pre"),
      maps: h("div.maps"),
    };
    return [h("div.look", {},
      h("section", { aria: { label: "Prediction" } }, h("h2", { textContent: "What the network says" }),
        parts.predictions, parts.search, parts.found,
        h("details", {}, h("summary", { textContent: "The same with curl" }), parts.curl)),
      h("section", { aria: { label: "Explanations" } }, h("h2", { textContent: "Why" }), controls(), parts.maps))];
  },
  wanted() {
    const { model, target } = state();
    return [model, target, picture()?.url];
  },
  load: see,
  fail() {
    parts.predictions.replaceChildren();
    parts.maps.replaceChildren();
  },
});

function controls() {
  const redraw = (change) => { Object.assign(how, change); for (const each of explanations) each.draw(how); };
  return h("div.controls", {},
    choice(["overlay", "mask", "cutout"], how.style, (style) => redraw({ style }), "Style", { cutout: "cut-out" }),
    choice(COLORMAPS, how.colormap, (colormap) => redraw({ colormap }), "Colors"),
    slider("Opacity", how.alpha, (alpha) => redraw({ alpha })),
    slider("Pixels shown", how.mask_fraction, (share) => redraw({ mask_fraction: Math.max(0.01, share) })));
}

async function search() {
  const text = parts.search.value.trim();
  if (!text) { parts.found.replaceChildren(); return; }
  const { classes } = await getJson(`v1/models/${state().model}/classes`, { query: { q: text } });
  parts.found.replaceChildren(...classes.slice(0, MOST_FOUND).map(({ index, label }) => h("li", {},
    button(label, () => {
      parts.search.value = "";
      parts.found.replaceChildren();
      setState({ target: String(index) });
    }, { className: "link" }))));
}

async function see(signal) {
  const now = picture();
  if (!now) {
    parts.predictions.replaceChildren(h("li.hint", { textContent: "No picture yet: choose one, or click a sample." }));
    return;
  }
  const { model, target } = state();
  const card = served.models.find((each) => each.name === model);
  const query = { model, top_k: Math.min(TOP, card.num_classes) };
  const found = await during("Classifying…", getJson("v1/classify", { query, body: now.blob, signal }));
  showFacts(found.image);
  parts.curl.textContent = curl("v1/classify", query, now.name);
  const chosen = target ?? String(found.predictions[0].class_index);
  showPredictions(found.predictions, chosen);
  await explain(card, { picture: now, model, target: chosen, signal });
}

function showPredictions(predictions, chosen) {
  parts.predictions.replaceChildren(...predictions.map(({ class_index: target, label, probability }) => {
    const bar = h("span.bar");
    setShares(bar, { width: probability });
    return h("li", {}, h("button.prediction", { type: "button", aria: { pressed: String(String(target) === chosen) },
      title: "Explain this class", on: { click: () => setState({ target }) } },
    bar, h("span", { textContent: label }), h("span.number", { textContent: percent(probability) })));
  }));
}

async function explain(card, context) {
  const applicable = served.methods.filter(({ name }) => card.explanations.includes(name));
  const made = new Map(applicable.map((method) => [method, new Explanation(method)]));
  explanations = [...made.values()];
  parts.maps.replaceChildren(...explanations.map((each) => each.element));
  context.under = await view(context);
  // Quick ones first; the service runs them one after another anyway.
  for (const method of [...applicable].sort((one, other) => one.forwards - other.forwards)) {
    const explanation = made.get(method);
    try {
      await explanation.load(context);
      explanation.draw(how);
    } catch (error) {
      context.signal.throwIfAborted();
      explanation.fail(error);
    }
  }
}

/** The picture the model sees; null where there is none to be had: maps are drawn without it. */
async function view({ picture: { blob: body }, model, signal }) {
  try {
    return await createImageBitmap(await getBlob("v1/view", "image/png", { query: { model }, body, signal }));
  } catch {
    signal.throwIfAborted();
    return null;
  }
}
