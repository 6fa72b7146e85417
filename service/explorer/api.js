// Requests to the service: keys, errors, forms of answers. Knows no view.

import { at } from "./dom.js";
import { put } from "./state.js";

export const base = new URL(".", location.href.split("#")[0]).href;
const KEY = "seethrough-key";

/** The type of NumPy files. */
export const NPY = "application/x-npy";

/** What the service answered instead of what was asked for. */
export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** The whole address of a path of the service. */
export function address(path, query = {}) {
  const url = new URL(base + path);
  put(url.searchParams, query);
  return url.href;
}

/**
 * The response, if it is a good one.
 * @throws {Problem} with the problem's detail; {DOMException} if it was aborted
 */
export async function call(path, { query, body, json, method, accept, signal } = {}) {
  const headers = { Accept: accept ?? "application/json" };
  if (json !== undefined) headers["Content-Type"] = "application/json";
  else if (body instanceof Blob) headers["Content-Type"] = "application/octet-stream";
  const key = sessionStorage.getItem(KEY);
  if (key) headers.Authorization = `Bearer ${key}`;
  const payload = json === undefined ? body : JSON.stringify(json);
  let response;
  try {
    response = await fetch(address(path, query), {
      method: method ?? (payload === undefined ? "GET" : "POST"), headers, body: payload, signal,
    });
  } catch {
    signal?.throwIfAborted();
    throw new Problem(0, "The service does not answer. Is it running? Try again.");
  }
  if (response.ok) return response;
  if (response.status === 401 || response.status === 403) {
    if (await askForKey()) return call(path, { query, body, json, method, accept, signal });
  }
  throw await problemOf(response);
}

export const getJson = async (path, options) => (await call(path, options)).json();

/** The answer as a file of that type. */
export const getBlob = async (path, accept, options) => (await call(path, { ...options, accept })).blob();

/** The answer as an array, see `parseNpy`. */
export const getArray = async (path, options) =>
  parseNpy(await (await call(path, { ...options, accept: NPY })).arrayBuffer());

async function problemOf(response) {
  try {
    const problem = await response.json();
    const wrong = (problem.errors ?? []).map((each) => `${each.parameter}: ${each.message}`);
    return new Problem(response.status, [problem.detail, ...wrong].join(" · "));
  } catch {
    return new Problem(response.status, `${response.status} ${response.statusText}`);
  }
}

let asking = null;

/** Asks for a key, once for all who wait; whether one was given. */
function askForKey() {
  asking ??= new Promise((resolve) => {
    const dialog = at("key");
    dialog.returnValue = "cancel";
    dialog.showModal();
    dialog.addEventListener("close", () => {
      asking = null;
      const given = dialog.returnValue === "ok" && at("key-text").value !== "";
      if (given) sessionStorage.setItem(KEY, at("key-text").value);
      at("key-text").value = "";
      resolve(given);
    }, { once: true });
  });
  return asking;
}

/** The curl command that asks the same. */
export function curl(path, query, file, extra = "") {
  const image = file ? `-F image=@${JSON.stringify(file)} ` : "";
  return `curl ${image}${extra}'${address(path, query)}'`;
}

/**
 * Shape and numbers of a NumPy file of float32; every other kind is refused.
 * @param {ArrayBuffer} buffer
 * @returns {{shape: number[], values: Float32Array}} in C order
 */
function parseNpy(buffer) {
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
