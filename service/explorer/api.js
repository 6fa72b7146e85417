// Requests to the service: keys, errors, forms of answers. Knows no view.

import { at } from "./dom.js";

export const base = new URL(".", location.href.split("#")[0]).href;
const KEY = "seethrough-key";

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
  for (const [key, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(key, value);
  }
  return url.href;
}

/** An item's path: its id may hold slashes, which stay. */
export const itemPath = (collection, id) =>
  `v1/collections/${collection}/items/${id.split("/").map(encodeURIComponent).join("/")}`;

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
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "The service does not answer. Is it running? Try again.");
  }
  if (response.ok) return response;
  if (response.status === 401 || response.status === 403) {
    if (await askForKey()) return call(path, { query, body, json, method, accept, signal });
  }
  throw await problemOf(response);
}

export const getJson = async (path, options) => (await call(path, options)).json();

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
