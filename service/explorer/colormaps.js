// Owns colors for numbers; refuses to know what the numbers are.

// Anchors of matplotlib's maps (CC0), evenly spaced from 0 to 1.
const ANCHORS = {
  inferno: ["000004", "280b54", "65156e", "9f2a63", "d44842", "f57d15", "fac127", "fcffa4"],
  viridis: ["440154", "46327e", "365c8d", "277f8e", "1fa187", "4ac16d", "a0da39", "fde725"],
  cividis: ["00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "fee838"],
  gray: ["000000", "ffffff"],
  "red-blue": ["053061", "4393c3", "f7f7f7", "d6604d", "67001f"],
};

export const COLORMAPS = Object.keys(ANCHORS);

const tables = new Map();

/** 256 colors, three bytes each. */
export function table(name) {
  if (!tables.has(name)) tables.set(name, made(ANCHORS[name]));
  return tables.get(name);
}

function made(anchors) {
  const rgb = anchors.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  const colors = new Uint8Array(256 * 3);
  for (let step = 0; step < 256; step += 1) {
    const place = (step / 255) * (rgb.length - 1);
    const left = Math.min(Math.floor(place), rgb.length - 2);
    for (let channel = 0; channel < 3; channel += 1) {
      const [from, to] = [rgb[left][channel], rgb[left + 1][channel]];
      colors[3 * step + channel] = Math.round(from + (to - from) * (place - left));
    }
  }
  return colors;
}

// Okabe and Ito's eight, then Paul Tol's muted: told apart by color-blind eyes, too.
export const PALETTE = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9",
  "#b8a800", "#6f5fbf", "#882255", "#44aa99", "#999933", "#aa4499"];
export const OTHER = "#8a8a8a";
