// Colors for numbers and labels, the same as in the service's pictures.

import { DIVERGING, LABELS, OTHER as REST, SEQUENTIAL, TABLES } from "../palettes.js";

/** Those to choose from, for maps that have no sign. */
export const COLORMAPS = Object.keys(TABLES).filter((name) => name !== DIVERGING);
export const OTHER = `#${REST}`;

/** The last color of a table. */
export const LAST = TABLES[SEQUENTIAL].length / 6 - 1;

const tables = new Map();

/** LAST + 1 colors, three bytes each. */
export function table(name) {
  if (!tables.has(name)) tables.set(name, Uint8Array.from(TABLES[name].match(/../g), (byte) => parseInt(byte, 16)));
  return tables.get(name);
}

/** A color of a table as CSS has it, of a share from 0 to 1. */
export const css = (name, share) => `#${TABLES[name].slice(6 * Math.round(LAST * share), 6 * Math.round(LAST * share) + 6)}`;

/** Most labels that have a color of their own. */
export const MOST_LABELS = Math.max(...LABELS.map((each) => each.length));

/** As many colors as labels, told apart by color-blind eyes, too. */
export const labelColors = (count) =>
  LABELS.find((each) => each.length >= count).slice(0, count).map((hex) => `#${hex}`);
