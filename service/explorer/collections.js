// The collections there are, which one is chosen, and how an item looks.

import { getBlob, getJson } from "./api.js";
import { choice, h, showBlob } from "./dom.js";
import { setState, state } from "./state.js";

/** The path of all of them. */
export const PATH = "v1/collections";

let collections = [];

/** Ask which there are. */
export async function listCollections(signal) {
  ({ collections } = await getJson(PATH, { signal }));
}

/** The one that the address names, or the first. */
export const current = () => collections.find(({ name }) => name === state().collection) ?? collections[0];

/** The path of a collection, or of what is asked of it. */
export const collectionPath = (name, ...rest) => [PATH, name, ...rest].join("/");

/** An item's path: its id may hold slashes, which stay. */
export const itemPath = (collection, id) =>
  collectionPath(collection, "items", ...id.split("/").map(encodeURIComponent));

/** A select element of all, with their sizes. */
export function collectionChoice() {
  const sizes = Object.fromEntries(collections.map(({ name, count }) => [name, `${name} (${count})`]));
  return choice(collections.map(({ name }) => name), current().name,
    (collection) => setState({ collection, item: null, projection: null }), "Collection", sizes);
}

/** An item as a button: its thumbnail, what it shows, and more. */
export const itemButton = (collection, id, text, onclick, ...more) =>
  h("button.item", { type: "button", on: { click: onclick } },
    thumbnail(collection, id), h("div", { textContent: text }), ...more);

// ---- thumbnails, also where the service asks for a key ----

const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    inSight.unobserve(target);
    fill(target);
  }
}, { rootMargin: "200px" });

/** An image that is fetched when it comes into sight. */
export function thumbnail(collection, id) {
  const image = h("img", { alt: id, data: { collection, id } });
  inSight.observe(image);
  return image;
}

async function fill(image) {
  const { collection, id } = image.dataset;
  try {
    showBlob(image, await getBlob(`${itemPath(collection, id)}/thumbnail`, "image/jpeg"));
  } catch {
    image.alt = `${id} (gone)`;
  }
}
