// Draw a map of numbers over a picture, as the service's PNG does.

import { BLANK, DIVERGING, DRAWING, LUMA, SEQUENTIAL } from "../palettes.js";
import { LAST, table } from "./colormaps.js";
import { clamp } from "./dom.js";

const MIDDLE = LAST / 2;

/** How the service draws a map where nothing is said: style, colormap, alpha, mask_fraction. */
export const defaults = () => ({ ...DRAWING, colormap: SEQUENTIAL });

/**
 * Draws a map on a canvas of its size.
 * @param {HTMLCanvasElement} canvas
 * @param {{shape: number[], values: Float32Array, scale: {low: number, high: number, signed: boolean}}} map (H, W),
 *   and the values at the ends of its colors
 * @param {CanvasImageSource|null} under the picture the model saw, of the same size
 * @param {object} how see `defaults`
 */
export function draw(canvas, map, under, how) {
  const [height, width] = map.shape;
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (under) pen.drawImage(under, 0, 0, width, height);
  const pixels = pen.getImageData(0, 0, width, height);
  const paint = { overlay: painted, mask: masked, cutout: cut }[how.style];
  paint(pixels.data, map, how);
  pen.putImageData(pixels, 0, 0);
}

/** Draws numbers alone, from the lowest to the highest, on a canvas of as many pixels. */
export function drawAlone(canvas, values) {
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

/** Colors over the picture in gray; see `_overlay` of core/render/overlay.py. */
function painted(rgba, { values, scale: { low, high, signed } }, { colormap, alpha }) {
  const colors = table(signed ? DIVERGING : colormap);
  const faded = Math.min(1, 2 * alpha);
  values.forEach((value, index) => {
    const share = clamp(value, low, high) / high;
    const level = signed ? Math.round(share * MIDDLE) + MIDDLE : Math.round(share * LAST);
    const size = signed ? Math.abs(level / MIDDLE - 1) : level / LAST;
    const weight = alpha * (alpha + (1 - alpha) * Math.sqrt(size));
    const at = 4 * index;
    const luma = LUMA[0] * rgba[at] + LUMA[1] * rgba[at + 1] + LUMA[2] * rgba[at + 2];
    for (let channel = 0; channel < 3; channel += 1) {
      const gray = rgba[at + channel] + faded * (luma - rgba[at + channel]);
      rgba[at + channel] = Math.round(gray * (1 - weight) + colors[3 * level + channel] * weight);
    }
    rgba[at + 3] = 255;
  });
}

function masked(rgba, { values }, { mask_fraction: fraction }) {
  mostImportant(values, fraction).forEach((inside, index) => {
    rgba.fill(inside ? 255 : 0, 4 * index, 4 * index + 3);
    rgba[4 * index + 3] = 255;
  });
}

function cut(rgba, { values }, { mask_fraction: fraction }) {
  mostImportant(values, fraction).forEach((inside, index) => {
    if (!inside) rgba.fill(BLANK, 4 * index, 4 * index + 3);
    rgba[4 * index + 3] = 255;
  });
}

/** The largest share of the values, of those above zero; equal ones from the top, left to right. */
function mostImportant(values, fraction) {
  const chosen = new Array(values.length).fill(false);
  const positive = [...values.keys()].filter((index) => values[index] > 0);
  positive.sort((one, other) => values[other] - values[one] || one - other);
  const wanted = Math.max(1, Math.ceil(Number((fraction * values.length).toFixed(6))));
  for (const index of positive.slice(0, wanted)) chosen[index] = true;
  return chosen;
}
