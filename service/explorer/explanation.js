// One method's map on the page: its canvas, figures and buttons.

import { NPY, curl, getBlob, getJson } from "./api.js";
import { button, copyButton, h, save } from "./dom.js";
import { draw } from "./heat.js";
import { attempt } from "./say.js";
import { followWindows } from "./windows.js";

/** One of several maps of a picture. */
export class Explanation {
  /** @param {{name: string, title: string}} method as the service lists it */
  constructor(method) {
    this.method = method.name;
    this.path = `v1/explain/${method.name}`;
    const title = method.title[0].toUpperCase() + method.title.slice(1);
    this.map = null;
    this.canvas = h("canvas", { width: 224, height: 224, role: "img", aria: { label: title } });
    this.outline = h("div.outline", { hidden: true });
    this.note = h("p.note", { textContent: "Waiting…" });
    this.faith = h("p.figures", { textContent: "" });
    this.buttons = h("div.row");
    this.element = h("section.explanation", { aria: { label: title } },
      h("h3", { textContent: title }), h("div.stage", {}, this.canvas, this.outline),
      this.note, this.faith, this.buttons);
  }

  /** Fetch the map; `context` holds picture, model, target, under and signal. */
  async load(context) {
    this.context = context;
    this.note.textContent = "Working…";
    const query = { model: context.model, target: context.target, faithfulness: true };
    const found = await getJson(this.path, { query, body: context.picture.blob, signal: context.signal });
    this.map = { shape: [found.map.length, found.map[0].length], values: Float32Array.from(found.map.flat()), scale: found.scale };
    this.note.textContent = "";
    if (found.grid) followWindows(this, found);  // whichever method hides windows
    this.showFaithfulness(found.faithfulness);
    this.addButtons();
  }

  /** Say why there is no map. */
  fail(error) {
    this.note.textContent = error.message;
    this.note.classList.add("bad");
  }

  /** Draw it as chosen. */
  draw(how) {
    if (this.map) draw(this.canvas, this.map, this.context.under, how);
  }

  showFaithfulness({ deletion, insertion }) {
    this.faith.textContent = `Deletion ${deletion.toFixed(3)} · insertion ${insertion.toFixed(3)}`;
    this.faith.title = "Area under the class's probability while the map's pixels go (low is good) or come (high is good)";
  }

  addButtons() {
    const { model, target, picture } = this.context;
    const download = (text, type, query) => {
      const format = text.toLowerCase();
      const get = async () => save(
        await getBlob(this.path, type, { query: { model, target, format, ...query }, body: picture.blob }),
        `${picture.name}.${this.method}.${format}`);
      return button(text, () => attempt(get), { label: `Download ${this.method} as ${text}` });
    };
    this.buttons.replaceChildren(
      download("PNG", "image/png", { size: "original" }),
      download("npy", NPY),
      copyButton("curl", () => curl(this.path, { model, target, format: "png" }, picture.name, "-o why.png ")));
  }
}
