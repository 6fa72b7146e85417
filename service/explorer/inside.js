// The view Inside: layers, filters, feature maps, one unit's arithmetic.

import { curl, getArray, getBlob, getJson } from "./api.js";
import { clamp, copyButton, field, h, markCurrent, pointed, setShares, showBlob } from "./dom.js";
import { drawAlone } from "./heat.js";
import { picture } from "./picture.js";
import { attempt, during } from "./say.js";
import { setState, state } from "./state.js";
import { View } from "./view.js";

const TILES = 16;

let parts = null;
let layers = [];
let listed = "";

export const inside = new View({
  title: "Inside",
  build() {
    parts = {
      filter: field("search", "Filter layers…", "Filter layers", { on: { input: list } }),
      layers: h("div.layers", { role: "group", aria: { label: "Layers in order of execution" } }),
      layer: h("section", { aria: { label: "Layer" } }),
    };
    listed = "";
    return [h("div.inside", {}, h("section", {}, h("h2", { textContent: "Layers" }), parts.filter, parts.layers), parts.layer)];
  },
  wanted() {
    const { model, layer } = state();
    return [model, layer, picture()?.url];
  },
  async load(signal) {
    const { model, layer } = state();
    if (listed !== model) {
      ({ layers } = await getJson(`v1/models/${model}/layers`, { signal }));
      listed = model;
      list();
    }
    const chosen = layers.find(({ name }) => name === layer) ?? layers[0];
    mark(chosen.name);
    await open(chosen, signal);
  },
});

const size = (shape) => shape.join(" × ");

function list() {
  const text = parts.filter.value.trim().toLowerCase();
  const wanted = layers.filter(({ name, type }) => `${name} ${type}`.toLowerCase().includes(text));
  parts.layers.replaceChildren(...wanted.map((layer) =>
    h("button", { type: "button", data: { layer: layer.name }, on: { click: () => setState({ layer: layer.name }) } },
      h("span", { textContent: layer.name }),
      h("span.shape", { textContent: `${layer.type} · ${size(layer.input_shape)} → ${size(layer.output_shape)}` }))));
  mark(state().layer ?? layers[0]?.name);
}

const mark = (name) => markCurrent(parts.layers.children, ({ dataset }) => dataset.layer === name, "true");

async function open(layer, signal) {
  const { model } = state();
  const facts = [`${layer.type}`, `${layer.parameters.toLocaleString()} parameters`, `${layer.macs.toLocaleString()} multiply-adds`];
  if (layer.receptive_field) facts.push(`sees ${size(layer.receptive_field)} pixels`);
  parts.layer.replaceChildren(h("h2", { textContent: layer.name }), h("p.hint", { textContent: facts.join(" · ") }));
  if (layer.has_filters) {
    const path = `v1/models/${model}/layers/${layer.name}/filters`;
    const image = h("img.filters", { alt: `Filters of ${layer.name}` });
    showBlob(image, await getBlob(path, "image/png", { query: { format: "png", channels: few(layer) }, signal }));
    parts.layer.append(h("section", {}, h("h3", { textContent: "Filters" }), image,
      h("div.row", {}, copyButton("curl", () => curl(path, { format: "png" }, null, "-o filters.png ")))));
  }
  await showMaps(layer, signal);
}

/** Of a layer with very many filters only the first. */
function few(layer) {
  const count = layer.output_shape[0];
  const deep = layer.input_shape[0] > 3;
  const most = deep ? 12 : 64;
  return count > most ? `0-${most - 1}` : null;
}

async function showMaps(layer, signal) {
  const note = (text) => parts.layer.append(h("p.hint", { textContent: text }));
  if (!picture()) {
    note("Choose a picture to see what this layer makes of it.");
    return;
  }
  if (layer.output_shape.length !== 3) {
    note("This layer puts out no maps of the picture.");
    return;
  }
  const asked = { query: { model: state().model, layer: layer.name }, body: picture().blob, signal };
  const maps = await during("Looking…", getArray("v1/activations", asked));
  const unit = h("div");
  parts.layer.append(h("section", {}, h("h3", { textContent: "Feature maps of the picture, most active first" }),
    h("div.tiles", {}, ...mostActive(maps).map((channel) => tile(layer, maps, channel, unit, signal)))));
  note("Click a cell of a map for the arithmetic behind it.");
  parts.layer.append(unit);
}

/** The channels of the largest mean: index, mean and values of each. */
function mostActive({ shape: [count, rows, cols], values }) {
  const cells = rows * cols;
  return Array.from({ length: count }, (_, index) => {
    const own = values.subarray(index * cells, (index + 1) * cells);
    return { index, values: own, mean: own.reduce((sum, value) => sum + value, 0) / cells };
  }).sort((one, other) => other.mean - one.mean).slice(0, TILES);
}

function tile(layer, maps, channel, unit, signal) {
  const [, rows, cols] = maps.shape;
  const { values } = channel;
  const canvas = h("canvas", { width: cols, height: rows, tabIndex: 0, role: "button",
    aria: { label: `Channel ${channel.index}, mean ${channel.mean.toFixed(2)}: open its strongest unit` } });
  drawAlone(canvas, values);
  const openUnit = (row, col) => attempt(() => showUnit(unit, layer, { channel: channel.index, row, col }, signal));
  canvas.addEventListener("click", (event) => {
    const [x, y] = pointed(event, canvas);
    const cell = (share, count) => clamp(Math.floor(share * count), 0, count - 1);
    openUnit(cell(y, rows), cell(x, cols));
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const strongest = values.indexOf(values.reduce((most, value) => Math.max(most, value), -Infinity));
    openUnit(Math.floor(strongest / cols), strongest % cols);
  });
  return h("figure", {}, canvas, h("figcaption", { textContent: `${channel.index} · mean ${channel.mean.toFixed(2)}` }));
}

async function showUnit(section, layer, { channel, row, col }, signal) {
  const { model } = state();
  const { blob: body } = picture();
  const query = { model, layer: layer.name, channel, row, col };
  const image = h("img", { alt: "Guided backpropagation of this unit" });
  const stage = h("div.stage", {}, image);
  const note = h("p.hint");
  const unit = h("div.unit");
  section.replaceChildren(h("h3", { textContent: `Channel ${channel}, row ${row}, column ${col}` }), unit);
  section.scrollIntoView({ block: "nearest", behavior: "smooth" });
  const png = (path, asked) => getBlob(path, "image/png", { query: asked, body, signal });
  const blob = await png("v1/explain/guided-backprop", { ...query, style: "overlay" }).catch((error) => {
    signal.throwIfAborted();
    note.textContent = error.message;  // before the first ReLU there is nothing to guide
    return png("v1/view", { model });
  });
  showBlob(image, blob);
  unit.append(h("div", {}, h("h3", { textContent: "What it looks for here (guided backprop)" }), stage, note));
  await image.decode();
  if (layer.has_filters) await addArithmetic(unit, stage, query, body, signal);
}

async function addArithmetic(unit, stage, query, body, signal) {
  const found = await getJson("v1/activations/unit", { query, body, signal });
  const { naturalHeight: height, naturalWidth: width } = stage.firstChild;
  const { top, left, bottom, right } = found.receptive_field;
  const box = h("div.outline", { title: "Pixels this unit depends on" });
  setShares(box, { top: top / height, left: left / width, height: (bottom - top) / height, width: (right - left) / width });
  stage.append(box);
  const largest = Math.max(...found.per_input_channel.map(Math.abs), 1e-12);
  const bars = found.per_input_channel.map((value, index) => {
    const bar = h("div", { title: `input channel ${found.first_input_channel + index}: ${value.toPrecision(4)}` });
    setShares(bar, { width: Math.abs(value) / largest });
    bar.style.background = value < 0 ? "var(--bad)" : "var(--accent)";
    return bar;
  });
  unit.append(h("div", {}, h("h3", { textContent: "Patch times filter, summed per input channel" }),
    h("div.products", { role: "img", aria: { label: `${bars.length} products` } }, ...bars),
    h("p", { textContent: `Bias ${found.bias.toPrecision(4)} · sum ${found.sum.toPrecision(6)} · the layer put out ${found.value.toPrecision(6)}` }),
    h("p.hint", { textContent: `Receptive field: rows ${top} to ${bottom}, columns ${left} to ${right} of the picture the model saw.` }),
    copyButton("curl", () => curl("v1/activations/unit", query, picture().name))));
}

