// Owns drawing a map of numbers over a picture; refuses to know where either comes from.

import { table } from "./colormaps.js";

const PERCENTILE = 0.99;

/** How a map is drawn, the same for all maps of a view. */
export const defaults = () => ({ style: "overlay", colormap: "inferno", opacity: 0.55, fraction: 0.1 });

/** The value that takes the strongest color: the 99th percentile of what is not 0. */
export function strength(values) {
  const sizes = values.filter((value) => value !== 0).map(Math.abs).sort();
  return sizes.length ? sizes[Math.floor(PERCENTILE * (sizes.length - 1))] : 1;
}

/**
 * Draws a map on a canvas of its size.
 * @param {HTMLCanvasElement} canvas
 * @param {{shape: number[], values: Float32Array}} map (H, W)
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
  paint(pixels.data, map.values, how);
  pen.putImageData(pixels, 0, 0);
}

function painted(rgba, values, { colormap, opacity }) {
  const top = strength(values);
  const signed = values.some((value) => value < 0);
  const colors = table(signed ? "red-blue" : colormap);
  values.forEach((value, index) => {
    const share = signed ? (value / top + 1) / 2 : value / top;
    const color = 3 * Math.round(255 * Math.min(1, Math.max(0, share)));
    for (let channel = 0; channel < 3; channel += 1) {
      const at = 4 * index + channel;
      rgba[at] += opacity * (colors[color + channel] - rgba[at]);
    }
    rgba[4 * index + 3] = 255;
  });
}

function masked(rgba, values, { fraction }) {
  chosen(values, fraction).forEach((inside, index) => {
    rgba.fill(inside ? 255 : 0, 4 * index, 4 * index + 3);
    rgba[4 * index + 3] = 255;
  });
}

function cut(rgba, values, { fraction }) {
  chosen(values, fraction).forEach((inside, index) => {
    if (!inside) rgba[4 * index + 3] = 28;
  });
}

/** Which pixels are the most important share of all. */
function chosen(values, fraction) {
  const sorted = Float32Array.from(values).sort();
  const limit = sorted[Math.max(0, Math.floor((1 - fraction) * (sorted.length - 1)))];
  return Array.from(values, (value) => value > limit || (value === limit && value > 0));
}
