// The view Gallery: collections, their pictures, and the nearest of them.

import { call, curl, getJson, itemPath } from "./api.js";
import { choice, copyButton, h } from "./dom.js";
import { onPicture, picture } from "./picture.js";
import { attempt, complain, say } from "./say.js";
import { onState, setState, state } from "./state.js";
import { thumbnail } from "./thumbnails.js";

const PAGE = 48;
const AT_ONCE = 4;
const NEAREST = 8;

let root = null;
let parts = null;
let collections = [];
let page = { cursors: [null], label: "", text: "" };
let shown = "";

/** Once. */
export function start() {
  onPicture(() => {
    if (!root || !current()) return;
    setState({ item: null });
    showChooser();
    attempt(showNear);
  });
  onState(refresh);
}

/** Show the view. */
export function enter(content) {
  root = content;
  shown = "";
  parts = {
    chooser: h("div.controls"), upload: h("div"), near: h("section", { aria: { label: "Neighbors" } }),
    filters: h("div.controls"), items: h("div.items"), pages: h("div.row"),
  };
  root.append(h("h2", { textContent: "Collection" }), parts.chooser, parts.upload, parts.near,
    h("h2", { textContent: "Pictures" }), parts.filters, parts.items, parts.pages);
  refresh();
}

/** Leave it. */
export function leave() { root = null; }

const current = () => collections.find(({ name }) => name === state().collection) ?? collections[0];

function refresh() {
  if (!root) return;
  const { collection, item } = state();
  const wanted = JSON.stringify([collection, item]);
  if (wanted === shown) return;
  shown = wanted;
  attempt(reload);
}

async function reload() {
  ({ collections } = await getJson("v1/collections"));
  page = { cursors: [null], label: "", text: "" };
  showChooser();
  await Promise.all([showFilters(), showItems(), showNear()]);
}

function showChooser() {
  const { name, count, model, metric } = current();
  const names = Object.fromEntries(collections.map((each) => [each.name, `${each.name} (${each.count})`]));
  const input = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true,
    on: { change: () => attempt(() => add([...input.files])) } });
  parts.chooser.replaceChildren(
    choice(collections.map((each) => each.name), name, (collection) => setState({ collection, item: null, projection: null }), "Collection", names),
    h("span.hint", { textContent: `${count} pictures · ${model} · ${metric}` }),
    h("button.primary", { type: "button", textContent: "Add pictures…", on: { click: () => input.click() } }), input,
    h("button", { type: "button", textContent: "Add the current picture", disabled: !picture(),
      on: { click: () => attempt(() => add([picture()])) } }),
    h("button", { type: "button", textContent: "New…", on: { click: () => attempt(make) } }),
    h("button", { type: "button", textContent: "Delete…", on: { click: () => attempt(drop) } }));
}

async function make() {
  const name = prompt("Name of the new collection (letters, digits, '.', '_', '-'):");
  if (!name) return;
  await call("v1/collections", { json: { name, model: state().model, pixel_space: true } });
  setState({ collection: name, item: null });
}

async function drop() {
  const { name, count } = current();
  if (!confirm(`Delete the collection ${name} with its ${count} pictures for good?`)) return;
  await call(`v1/collections/${name}`, { method: "DELETE" });
  setState({ collection: null, item: null });
  shown = "";
  refresh();
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
        await call(`v1/collections/${name}/items`, { query: { label }, body: file.blob ?? file });
      } catch (error) {
        failures.append(h("li.bad", { textContent: `${file.name}: ${error.message}` }));
      }
      bar.value += 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  say(`${files.length - failures.children.length} of ${files.length} pictures stored in ${name}.`, failures.children.length > 0);
  if (!failures.children.length) parts.upload.replaceChildren();
  await reload();
}

async function showFilters() {
  const { labels } = await getJson(`v1/collections/${current().name}`);
  const names = { "": "All labels" };
  for (const { label, count } of labels) if (label) names[label] = `${label} (${count})`;
  const again = (change) => { page = { ...page, ...change, cursors: [null] }; attempt(showItems); };
  parts.label = h("input", { type: "text", placeholder: "Label for new pictures", aria: { label: "Label for new pictures" } });
  parts.filters.replaceChildren(
    choice(Object.keys(names), page.label, (label) => again({ label }), "Filter by label", names),
    h("input", { type: "search", placeholder: "Text in id or label…", aria: { label: "Filter by text" },
      on: { change: (event) => again({ text: event.target.value }) } }), parts.label);
}

async function showItems() {
  const { name } = current();
  const query = { limit: PAGE, label: page.label, q: page.text, cursor: page.cursors.at(-1) };
  const found = await getJson(`v1/collections/${name}/items`, { query });
  parts.items.replaceChildren(...found.items.map((item) => card(name, item)));
  if (!found.items.length) parts.items.replaceChildren(h("p.hint", { textContent: "Nothing here yet: add pictures above." }));
  const go = (cursors) => { page.cursors = cursors; attempt(showItems); };
  parts.pages.replaceChildren(
    h("button", { type: "button", textContent: "← Back", disabled: page.cursors.length < 2, on: { click: () => go(page.cursors.slice(0, -1)) } }),
    h("span.hint", { textContent: `${found.total} in all` }),
    h("button", { type: "button", textContent: "More →", disabled: !found.next_cursor, on: { click: () => go([...page.cursors, found.next_cursor]) } }));
}

function card(collection, item) {
  const label = h("span", { textContent: item.label ?? item.prediction.label });
  if (!item.label) label.classList.add("hint");
  return h("div.item", {}, thumbnail(collection, item.id), h("div", { textContent: item.id }), label,
    h("div.row", {},
      h("button", { type: "button", textContent: "Near", aria: { label: `What is near ${item.id}` }, on: { click: () => { setState({ item: item.id }, { push: true }); scrollTo(0, 0); } } }),
      h("button", { type: "button", textContent: "Label", aria: { label: `Label ${item.id}` }, on: { click: () => attempt(() => relabel(collection, item)) } }),
      h("button", { type: "button", textContent: "Delete", aria: { label: `Delete ${item.id}` }, on: { click: () => attempt(() => remove(collection, item)) } })));
}

async function relabel(collection, item) {
  const label = prompt(`Label of ${item.id} (empty for none):`, item.label ?? "");
  if (label === null) return;
  await call(itemPath(collection, item.id), { method: "PATCH", json: { label: label || null } });
  await Promise.all([showItems(), showFilters()]);
}

async function remove(collection, item) {
  if (!confirm(`Delete ${item.id}?`)) return;
  await call(itemPath(collection, item.id), { method: "DELETE" });
  if (state().item === item.id) setState({ item: null });
  await reload();
}

// ---- neighbors ----

/** The nearest to the item chosen, or to the current picture: in feature space, and by pixels. */
async function showNear() {
  const { item } = state();
  const seed = item ? { json: { item } } : { body: picture()?.blob };
  const found = current();
  if (!found?.count || (!item && !picture())) { parts.near.replaceChildren(); return; }
  const sides = h("div.sides");
  const title = item ? `Near ${item}` : `Near ${picture().name}`;
  parts.near.replaceChildren(h("h2", { textContent: title }), sides);
  const spaces = found.pixel_space ? { features: "In feature space", pixels: "By pixels" } : { features: "In feature space" };
  for (const [space, text] of Object.entries(spaces)) {
    const list = h("div.items.small");
    const note = h("p.hint");
    const path = `v1/collections/${found.name}/neighbors`;
    const query = { k: NEAREST, space };
    sides.append(h("div", {}, h("h3", { textContent: text }), list, note,
      copyButton("curl", () => curl(path, query, item ? null : picture().name, item ? `--json '${JSON.stringify({ item })}' ` : ""))));
    try {
      const answer = await getJson(path, { query, ...seed });
      list.append(...answer.neighbors.map((each) => near(found.name, each)));
      note.textContent = answer.exact ? `exact, ${answer.metric}` : `approximate: finds ${(100 * answer.recall).toFixed(1)} % of the true neighbors`;
    } catch (error) {
      note.textContent = error.message;
      if (error.status === 404) complain(error);
    }
  }
}

const near = (collection, { id, label, distance, prediction }) => h("button.item", { type: "button",
  on: { click: () => setState({ item: id }, { push: true }) } },
thumbnail(collection, id), h("div", { textContent: label ?? prediction.label }), h("div.hint", { textContent: distance.toPrecision(4) }));
