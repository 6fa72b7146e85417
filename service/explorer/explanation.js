// One method's map on the page: its canvas, figures and buttons.

import { NPY, curl, getBlob, getJson } from "./api.js";
import { button, clamp, copyButton, h, percent, pointed, save, setShares } from "./dom.js";
import { draw } from "./heat.js";
import { attempt } from "./say.js";

/** One of several maps of a picture. */
export class Explanation {
  /** @param {{name: string, title: string}} method as the service lists it */
  constructor(method) {
    this.method = method.name;
    this.path = `v1/explain/${method.name}`;
    const title = method.title[0].toUpperCase() + method.title.slice(1);
    this.map = null;
    this.occlusion = null;
    this.cell = null;
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
    if (found.grid) {
      this.occlusion = found;
      this.followCells();
    }
    this.note.textContent = this.occlusion ? "Point at the map to see what hiding a part does." : "";
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

  // ---- cells of a grid of windows ----

  followCells() {
    const { rows, cols } = this.occlusion.grid;
    this.canvas.tabIndex = 0;
    this.canvas.onpointermove = (event) => {
      const [x, y] = pointed(event, this.canvas);
      this.showCell(this.nearest("tops", y), this.nearest("lefts", x));
    };
    this.canvas.onpointerleave = () => this.hideCell();
    this.canvas.onblur = () => this.hideCell();
    this.canvas.onfocus = () => this.showCell(Math.floor(rows / 2), Math.floor(cols / 2));
    this.canvas.onkeydown = (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step || !this.cell) return;
      event.preventDefault();
      this.showCell(clamp(this.cell[0] + step[0], 0, rows - 1), clamp(this.cell[1] + step[1], 0, cols - 1));
    };
  }

  /** The window whose middle is nearest to a share of the picture's side. */
  nearest(axis, share) {
    const [height, width] = this.map.shape;
    const along = axis === "tops" ? 0 : 1;
    const start = share * (along ? width : height) - this.occlusion.grid.window[along] / 2;
    const starts = this.occlusion.grid[axis];
    return starts.reduce((best, each, index) =>
      (Math.abs(each - start) < Math.abs(starts[best] - start) ? index : best), 0);
  }

  showCell(row, col) {
    this.cell = [row, col];
    const { grid, score_map: scores, class_map: classes, labels, baseline, target } = this.occlusion;
    const [height, width] = this.map.shape;
    setShares(this.outline, { top: grid.tops[row] / height, left: grid.lefts[col] / width,
      height: grid.window[0] / height, width: grid.window[1] / width });
    this.outline.hidden = false;
    const predicted = labels[classes[row][col]];
    this.note.textContent = `Hidden here: ${target.label} ${percent(scores[row][col])} instead of `
      + `${percent(baseline)}; predicted ${predicted}`;
  }

  hideCell() {
    this.cell = null;
    this.outline.hidden = true;
  }
}
