// The current picture: chosen, dropped, pasted, taken or a sample.

import { at, h } from "./dom.js";
import { base } from "./api.js";
import { attempt } from "./say.js";
import { setState, state } from "./state.js";

const SAMPLES = ["chelsea", "coffee", "rocket"];
const sampleUrl = (name) => `${base}assets/explorer/samples/${name}.jpg`;

const listeners = new Set();
let current = null;

/** The picture now: {blob, name, url}; null = none yet. */
export const picture = () => current;

/** Be told of each new picture. */
export const onPicture = (listener) => listeners.add(listener);

function use(blob, name, sample = null) {
  if (current) URL.revokeObjectURL(current.url);
  current = { blob, name, url: URL.createObjectURL(blob) };
  at("preview").src = current.url;
  at("preview").hidden = false;
  at("invite").textContent = name;
  setState({ sample, target: null });
  for (const each of listeners) each(current);
}

async function useSample(name) {
  const response = await fetch(sampleUrl(name));
  use(await response.blob(), `${name}.jpg`, name);
}

function take(files) {
  const [file] = files;
  if (file) use(file, file.name || "pasted picture");
}

/** Connect the controls; a sample named in the address is taken at once. */
export function startPicture() {
  for (const name of SAMPLES) {
    const image = h("img", { src: sampleUrl(name), alt: name });
    at("samples").append(h("button.sample", { type: "button", aria: { label: `Sample: ${name}` },
      on: { click: () => attempt(() => useSample(name)) } }, image));
  }
  for (const [button, input] of [["choose", "file"], ["take", "camera"]]) {
    at(button).addEventListener("click", () => at(input).click());
    at(input).addEventListener("change", () => take(at(input).files));
  }
  const drop = at("drop");
  drop.addEventListener("click", () => at("file").click());
  document.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
  const { sample } = state();
  if (SAMPLES.includes(sample)) {
    const { target } = state();
    useSample(sample).then(() => setState({ target }));
  }
}

/** What the service said of the picture as it was received. */
export function showFacts(image) {
  const facts = { Format: image.format, Size: `${image.width} × ${image.height}`, Mode: image.mode };
  at("facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [h("dt", { textContent: name }), h("dd", { textContent: value })]));
}
