// The view Gallery: collections, their pictures, and the nearest of them.

import { call, curl, getJson } from "./api.js";
import { PATH, collectionChoice, collectionPath, current, itemButton, itemPath, listCollections, thumbnail } from "./collections.js";
import { button, choice, copyButton, field, h, percent } from "./dom.js";
import { picture } from "./picture.js";
import { attempt, complain, say } from "./say.js";
import { setState, state } from "./state.js";
import { View } from "./view.js";

const PAGE = 48;
const AT_ONCE = 4;
const NEAREST = 8;

let parts = null;
let page = null;

export const gallery = new View({
  title: "Gallery",
  build() {
    parts = {
      chooser: h("div.controls"), upload: h("div"), near: h("section", { aria: { label: "Neighbors" } }),
      filters: h("div.controls"), items: h("div.items"), pages: h("div.row"),
    };
    return [h("h2", { textContent: "Collection" }), parts.chooser, parts.upload, parts.near,
      h("h2", { textContent: "Pictures" }), parts.filters, parts.items, parts.pages];
  },
  wanted() {
    const { collection, item } = state();
    return [collection, item];
  },
  async load(signal) {
    await listCollections(signal);
    page = { cursors: [null], label: "", text: "" };
    showChooser();
    await Promise.all([showFilters(signal), showItems(signal), showNear(signal)]);
  },
  repicture() {
    if (!current()) return;
    if (state().item) {
      setState({ item: null });  // which loads anew
      return;
    }
    showChooser();
    attempt(showNear);
  },
});

function showChooser() {
  const { count, model, metric } = current();
  const input = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true,
    on: { change: () => attempt(() => add([...input.files])) } });
  parts.chooser.replaceChildren(
    collectionChoice(),
    h("span.hint", { textContent: `${count} pictures · ${model} · ${metric}` }),
    button("Add pictures…", () => input.click(), { className: "primary" }), input,
    button("Add the current picture", () => attempt(() => add([picture()])), { disabled: !picture() }),
    button("New…", () => attempt(make)),
    button("Delete…", () => attempt(drop)));
}

async function make() {
  const name = prompt("Name of the new collection (letters, digits, '.', '_', '-'):");
  if (!name) return;
  await call(PATH, { json: { name, model: state().model, pixel_space: true } });
  setState({ collection: name, item: null });
}

async function drop() {
  const { name, count } = current();
  if (!confirm(`Delete the collection ${name} with its ${count} pictures for good?`)) return;
  await call(collectionPath(name), { method: "DELETE" });
  gallery.renew({ collection: null, item: null });
}

/** Store files, a few at a time; those that fail are listed. */
async function add(files) {
  const bar = h("progress", { max: files.length, value: 0, aria: { label: "Pictures stored" } });
  const failures = h("ul");
  const label = parts.label?.value || null;
  parts.upload.replaceChildren(bar, failures);
  const waiting = [...files];
  const { name } = current();
  const work = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      try {
        await call(collectionPath(name, "items"), { query: { label }, body: file.blob ?? file });
      } catch (error) {
        failures.append(h("li.bad", { textContent: `${file.name}: ${error.message}` }));
      }
      bar.value += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  say(`${files.length - failures.children.length} of ${files.length} pictures stored in ${name}.`, failures.children.length > 0);
  if (!failures.children.length) parts.upload.replaceChildren();
  gallery.renew();
}

async function showFilters(signal) {
  const { labels } = await getJson(collectionPath(current().name), { signal });
  const names = { "": "All labels" };
  for (const { label, count } of labels) if (label) names[label] = `${label} (${count})`;
  const again = (change) => { page = { ...page, ...change, cursors: [null] }; attempt(showItems); };
  parts.label = field("text", "Label for new pictures", "Label for new pictures");
  parts.filters.replaceChildren(
    choice(Object.keys(names), page.label, (label) => again({ label }), "Filter by label", names),
    field("search", "Text in id or label…", "Filter by text",
      { on: { change: (event) => again({ text: event.target.value }) } }), parts.label);
}

async function showItems(signal) {
  const { name } = current();
  const query = { limit: PAGE, label: page.label, q: page.text, cursor: page.cursors.at(-1) };
  const found = await getJson(collectionPath(name, "items"), { query, signal });
  parts.items.replaceChildren(...found.items.map((item) => card(name, item)));
  if (!found.items.length) parts.items.replaceChildren(h("p.hint", { textContent: "Nothing here yet: add pictures above." }));
  const go = (cursors) => { page.cursors = cursors; attempt(showItems); };
  parts.pages.replaceChildren(
    button("← Back", () => go(page.cursors.slice(0, -1)), { disabled: page.cursors.length < 2 }),
    h("span.hint", { textContent: `${found.total} in all` }),
    button("More →", () => go([...page.cursors, found.next_cursor]), { disabled: !found.next_cursor }));
}

function card(collection, item) {
  const { id } = item;
  const label = h("span", { textContent: item.label ?? item.prediction.label });
  if (!item.label) label.classList.add("hint");
  return h("div.item", {}, thumbnail(collection, id), h("div", { textContent: id }), label,
    h("div.row", {},
      button("Near", () => { setState({ item: id }, { push: true }); scrollTo(0, 0); }, { label: `What is near ${id}` }),
      button("Label", () => attempt(() => relabel(collection, item)), { label: `Label ${id}` }),
      button("Delete", () => attempt(() => remove(collection, item)), { label: `Delete ${id}` })));
}

async function relabel(collection, item) {
  const label = prompt(`Label of ${item.id} (empty for none):`, item.label ?? "");
  if (label === null) return;
  await call(itemPath(collection, item.id), { method: "PATCH", json: { label: label || null } });
  await Promise.all([showItems(), showFilters()]);
}

async function remove(collection, { id }) {
  if (!confirm(`Delete ${id}?`)) return;
  await call(itemPath(collection, id), { method: "DELETE" });
  gallery.renew(state().item === id ? { item: null } : {});
}

// ---- neighbors ----

/** The nearest to the item chosen, or to the current picture: in feature space, and by pixels. */
async function showNear(signal) {
  const { item } = state();
  const found = current();
  if (!found?.count || (!item && !picture())) { parts.near.replaceChildren(); return; }
  const sides = h("div.sides");
  parts.near.replaceChildren(h("h2", { textContent: `Near ${item ?? picture().name}` }), sides);
  await showSpace(sides, found.name, "features", "In feature space", signal);
  if (found.pixel_space) await showSpace(sides, found.name, "pixels", "By pixels", signal);
}

async function showSpace(sides, collection, space, title, signal) {
  const { item } = state();
  const list = h("div.items.small");
  const note = h("p.hint");
  const path = collectionPath(collection, "neighbors");
  const query = { k: NEAREST, space };
  sides.append(h("div", {}, h("h3", { textContent: title }), list, note,
    copyButton("curl", () => curl(path, query, item ? null : picture().name, item ? `--json '${JSON.stringify({ item })}' ` : ""))));
  try {
    const seed = item ? { json: { item } } : { body: picture().blob };
    const { neighbors, exact, metric, recall } = await getJson(path, { query, signal, ...seed });
    list.append(...neighbors.map(({ id, label, prediction, distance }) =>
      itemButton(collection, id, label ?? prediction.label, () => setState({ item: id }, { push: true }),
        h("div.hint", { textContent: distance.toPrecision(4) }))));
    note.textContent = exact ? `exact, ${metric}` : `approximate: finds ${percent(recall, 1)} of the true neighbors`;
  } catch (error) {
    signal?.throwIfAborted();
    note.textContent = error.message;
    if (error.status === 404) complain(error);
  }
}
