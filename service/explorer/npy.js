// Read NumPy files of float32; every other kind is refused.

/**
 * Shape and numbers of a file.
 * @param {ArrayBuffer} buffer
 * @returns {{shape: number[], values: Float32Array}} in C order
 */
export function parseNpy(buffer) {
  const view = new DataView(buffer);
  const magic = new Uint8Array(buffer, 0, 6);
  if (magic[0] !== 0x93 || String.fromCharCode(...magic.slice(1)) !== "NUMPY") {
    throw new Error("not a NumPy file");
  }
  const long = view.getUint8(6) > 1;
  const length = long ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = long ? 12 : 10;
  const header = new TextDecoder().decode(new Uint8Array(buffer, start, length));
  if (!header.includes("'<f4'") || header.includes("'fortran_order': True")) {
    throw new Error(`not float32 in C order: ${header}`);
  }
  const shape = header.match(/'shape': \(([^)]*)\)/)[1].split(",").filter((part) => part.trim())
    .map(Number);
  return { shape, values: new Float32Array(buffer.slice(start + length)) };
}
