// What hiding one window of a picture does, said where it is pointed at; for every method that answers a grid of windows.

import { clamp, percent, pointed, setShares } from "./dom.js";

const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * Follow pointer and arrow keys over a map.
 * @param {{canvas: HTMLCanvasElement, outline: HTMLElement, note: HTMLElement, map: {shape: number[]}}} explanation
 * @param {object} found the answer: grid, score_map, class_map, labels, baseline, target
 */
export function followWindows({ canvas, outline, note, map: { shape } }, found) {
  const { grid, score_map: scores, class_map: classes, labels, baseline, target } = found;
  const [height, width] = shape;
  let cell = null;

  const show = (row, col) => {
    cell = [row, col];
    setShares(outline, { top: grid.tops[row] / height, left: grid.lefts[col] / width,
      height: grid.window[0] / height, width: grid.window[1] / width });
    outline.hidden = false;
    note.textContent = `Hidden here: ${target.label} ${percent(scores[row][col])} instead of `
      + `${percent(baseline)}; predicted ${labels[classes[row][col]]}`;
  };
  const hide = () => {
    cell = null;
    outline.hidden = true;
  };

  note.textContent = "Point at the map to see what hiding a part does.";
  canvas.tabIndex = 0;
  canvas.onpointermove = (event) => {
    const [x, y] = pointed(event, canvas);
    show(nearest(grid.tops, y * height - grid.window[0] / 2), nearest(grid.lefts, x * width - grid.window[1] / 2));
  };
  canvas.onpointerleave = hide;
  canvas.onblur = hide;
  canvas.onfocus = () => show(Math.floor(grid.rows / 2), Math.floor(grid.cols / 2));
  canvas.onkeydown = (event) => {
    const step = STEPS[event.key];
    if (!step || !cell) return;
    event.preventDefault();
    show(clamp(cell[0] + step[0], 0, grid.rows - 1), clamp(cell[1] + step[1], 0, grid.cols - 1));
  };
}

/** Index of the start nearest to a position. */
function nearest(starts, position) {
  return starts.reduce((best, start, index) =>
    (Math.abs(start - position) < Math.abs(starts[best] - position) ? index : best), 0);
}
