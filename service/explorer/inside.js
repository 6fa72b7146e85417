// The view Inside: layers, filters, feature maps, one unit's arithmetic.

import { call, curl, getJson } from "./api.js";
import { LAST, table } from "./colormaps.js";
import { copyButton, h } from "./dom.js";
import { parseNpy } from "./npy.js";
import { onPicture, picture } from "./picture.js";
import { attempt, complain, say } from "./say.js";
import { onState, setState, state } from "./state.js";

const TILES = 16;

let root = null;
let parts = null;
let layers = [];
let listed = "";
let shown = "";
let abort = new AbortController();

/** Once. */
export function start() {
  onPicture(() => { shown = ""; refresh(); });
  onState(refresh);
}

/** Show the view. */
export function enter(content) {
  root = content;
  parts = {
    filter: h("input", { type: "search", placeholder: "Filter layers…", aria: { label: "Filter layers" }, on: { input: list } }),
    layers: h("div.layers", { role: "group", aria: { label: "Layers in order of execution" } }),
    layer: h("section", { aria: { label: "Layer" } }),
  };
  root.append(h("div.inside", {}, h("section", {}, h("h2", { textContent: "Layers" }), parts.filter, parts.layers), parts.layer));
  listed = "";
  shown = "";
  refresh();
}

/** Leave it. */
export function leave() {
  abort.abort();
  root = null;
}

function refresh() {
  if (!root) return;
  attempt(async () => {
    const { model, layer } = state();
    if (listed !== model) {
      listed = model;
      layers = (await getJson(`v1/models/${model}/layers`)).layers;
      list();
    }
    const chosen = layers.find(({ name }) => name === layer) ?? layers[0];
    mark(chosen.name);
    const wanted = JSON.stringify([model, chosen.name, picture()?.url]);
    if (wanted === shown) return;
    shown = wanted;
    abort.abort();
    abort = new AbortController();
    await open(chosen, abort.signal);
  });
}

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

function mark(name) {
  for (const each of parts.layers.children) {
    if (each.dataset.layer === name) each.setAttribute("aria-current", "true");
    else each.removeAttribute("aria-current");
  }
}

async function open(layer, signal) {
  const { model } = state();
  const facts = [`${layer.type}`, `${layer.parameters.toLocaleString()} parameters`, `${layer.macs.toLocaleString()} multiply-adds`];
  if (layer.receptive_field) facts.push(`sees ${size(layer.receptive_field)} pixels`);
  parts.layer.replaceChildren(h("h2", { textContent: layer.name }), h("p.hint", { textContent: facts.join(" · ") }));
  if (layer.has_filters) {
    const path = `v1/models/${model}/layers/${layer.name}/filters`;
    const response = await call(path, { query: { format: "png", channels: few(layer) }, accept: "image/png", signal });
    const image = h("img.filters", { src: URL.createObjectURL(await response.blob()), alt: `Filters of ${layer.name}` });
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
  const current = picture();
  if (!current) {
    parts.layer.append(h("p.hint", { textContent: "Choose a picture to see what this layer makes of it." }));
    return;
  }
  if (layer.output_shape.length !== 3) {
    parts.layer.append(h("p.hint", { textContent: "This layer puts out no maps of the picture." }));
    return;
  }
  const query = { model: state().model, layer: layer.name, top: Math.min(TILES, layer.output_shape[0]) };
  say("Looking…");
  const found = await getJson("v1/activations", { query, body: current.blob, signal });
  const response = await call("v1/activations", { query, body: current.blob, accept: "application/x-npy", signal });
  const maps = parseNpy(await response.arrayBuffer());
  say("");
  const order = [...found.channels.keys()].sort((one, other) => found.channels[other].mean - found.channels[one].mean);
  const unit = h("div");
  parts.layer.append(h("section", {}, h("h3", { textContent: "Feature maps of the picture, most active first" }),
    h("div.tiles", {}, ...order.map((index) => tile(layer, maps, index, found.channels[index], unit, signal)))),
  h("p.hint", { textContent: "Click a cell of a map for the arithmetic behind it." }), unit);
}

function tile(layer, maps, index, channel, unit, signal) {
  const [, rows, cols] = maps.shape;
  const values = maps.values.subarray(index * rows * cols, (index + 1) * rows * cols);
  const canvas = h("canvas", { width: cols, height: rows, tabIndex: 0, role: "button",
    aria: { label: `Channel ${channel.index}, mean ${channel.mean.toFixed(2)}: open its strongest unit` } });
  paint(canvas, values);
  const open = (row, col) => showUnit(unit, layer, { channel: channel.index, row, col }, signal).catch(complain);
  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const cell = (place, count) => Math.min(count - 1, Math.max(0, Math.floor(place * count)));
    open(cell((event.clientY - box.top) / box.height, rows), cell((event.clientX - box.left) / box.width, cols));
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    const strongest = values.indexOf(values.reduce((most, value) => Math.max(most, value), -Infinity));
    open(Math.floor(strongest / cols), strongest % cols);
  });
  return h("figure", {}, canvas, h("figcaption", { textContent: `${channel.index} · mean ${channel.mean.toFixed(2)}` }));
}

function paint(canvas, values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) { low = Math.min(low, value); high = Math.max(high, value); }
  const colors = table("viridis");
  const pen = canvas.getContext("2d");
  const pixels = pen.createImageData(canvas.width, canvas.height);
  values.forEach((value, index) => {
    const at = 3 * Math.round((LAST * (value - low)) / (high - low || 1));
    pixels.data.set([colors[at], colors[at + 1], colors[at + 2], 255], 4 * index);
  });
  pen.putImageData(pixels, 0, 0);
}

async function showUnit(place, layer, { channel, row, col }, signal) {
  const { model } = state();
  const query = { model, layer: layer.name, channel, row, col };
  place.replaceChildren(h("h3", { textContent: `Channel ${channel}, row ${row}, column ${col}` }));
  const unit = h("div.unit");
  place.append(unit);
  place.scrollIntoView({ block: "nearest", behavior: "smooth" });
  const body = picture().blob;
  const png = async (path, asked) => {
    const response = await call(path, { query: asked, body, accept: "image/png", signal });
    return URL.createObjectURL(await response.blob());
  };
  await attempt(async () => {
    const note = h("p.hint");
    const source = await png("v1/explain/guided-backprop", { ...query, style: "overlay" }).catch((error) => {
      if (error.name === "AbortError") throw error;
      note.textContent = error.message;  // before the first ReLU there is nothing to guide
      return png("v1/view", { model });
    });
    const image = h("img", { alt: "Guided backpropagation of this unit", src: source });
    const stage = h("div.stage", {}, image);
    unit.append(h("div", {}, h("h3", { textContent: "What it looks for here (guided backprop)" }), stage, note));
    await image.decode();
    if (layer.has_filters) await addArithmetic(unit, stage, query, body, signal);
  });
}

async function addArithmetic(unit, stage, query, body, signal) {
  const found = await getJson("v1/activations/unit", { query, body, signal });
  const { naturalHeight: height, naturalWidth: width } = stage.firstChild;
  const { top, left, bottom, right } = found.receptive_field;
  const box = h("div.outline", { title: "Pixels this unit depends on" });
  const share = { top: top / height, left: left / width, height: (bottom - top) / height, width: (right - left) / width };
  for (const [side, value] of Object.entries(share)) box.style[side] = `${100 * value}%`;
  stage.append(box);
  const largest = Math.max(...found.per_input_channel.map(Math.abs), 1e-12);
  const bars = found.per_input_channel.map((value, index) => {
    const bar = h("div", { title: `input channel ${found.first_input_channel + index}: ${value.toPrecision(4)}` });
    bar.style.width = `${(100 * Math.abs(value)) / largest}%`;
    bar.style.background = value < 0 ? "var(--bad)" : "var(--accent)";
    return bar;
  });
  unit.append(h("div", {}, h("h3", { textContent: "Patch times filter, summed per input channel" }),
    h("div.products", { role: "img", aria: { label: `${bars.length} products` } }, ...bars),
    h("p", { textContent: `Bias ${found.bias.toPrecision(4)} · sum ${found.sum.toPrecision(6)} · the layer put out ${found.value.toPrecision(6)}` }),
    h("p.hint", { textContent: `Receptive field: rows ${top} to ${bottom}, columns ${left} to ${right} of the picture the model saw.` }),
    copyButton("curl", () => curl("v1/activations/unit", query, picture().name))));
}

