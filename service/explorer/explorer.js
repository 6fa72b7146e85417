// The page: models, which view is shown, theme. Knows no view from inside.

import { getJson } from "./api.js";
import { at, h, markCurrent } from "./dom.js";
import { gallery } from "./gallery.js";
import { inside } from "./inside.js";
import { look } from "./look.js";
import { map } from "./map.js";
import { onPicture, startPicture } from "./picture.js";
import { say } from "./say.js";
import { onState, setState, state } from "./state.js";

const VIEWS = { look, inside, gallery, map };
const RETRY_MS = 1500;

let shown = null;

/** The model that the address names, or the default. */
function chosenModel({ models }) {
  const wanted = state().model;
  return (models.find(({ name }) => name === wanted) ?? models.find((each) => each.default)).name;
}

function show(served) {
  const model = chosenModel(served);
  at("model").value = model;
  if (state().model !== model) {
    setState({ model });  // tells, and comes here again
    return;
  }
  const { view } = state();
  const name = Object.hasOwn(VIEWS, view) ? view : "look";
  markCurrent(at("views").children, ({ dataset }) => dataset.view === name, "page");
  if (VIEWS[name] === shown) {
    shown.refresh();
    return;
  }
  shown?.leave();
  shown = VIEWS[name];
  document.title = `Seethrough · ${shown.title}`;
  shown.enter(at("content"), served);
}

function addViews() {
  at("views").append(...Object.entries(VIEWS).map(([view, { title }]) =>
    h("a", { href: `#view=${view}`, textContent: title, data: { view }, on: { click: (event) => {
      event.preventDefault();
      setState({ view }, { push: true });
    } } })));
}

async function listModels() {
  for (;;) {
    try {
      const { models } = await getJson("v1/models");
      return models;
    } catch (error) {
      say(error.status === 503 ? "The models are loading…" : error.message, error.status !== 503);
      await new Promise((resolve) => { setTimeout(resolve, RETRY_MS); });
    }
  }
}

function addTheme() {
  const dark = () => (document.documentElement.dataset.theme
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const name = () => { at("theme").textContent = dark() ? "Light" : "Dark"; };
  const kept = localStorage.getItem("seethrough-theme");
  if (kept) document.documentElement.dataset.theme = kept;
  name();
  at("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    localStorage.setItem("seethrough-theme", document.documentElement.dataset.theme);
    name();
  });
}

async function start() {
  addTheme();
  addViews();
  startPicture();  // before the models are known: a picture chosen while they load is kept
  const models = await listModels();
  at("model").append(...models.map(({ name }) => h("option", { value: name, textContent: name })));
  at("model").addEventListener("change", () =>
    setState({ model: at("model").value, target: null, layer: null }));
  const { methods } = await getJson("v1/explain");
  const served = { models, methods };
  say("");
  onState(() => show(served));
  onPicture(() => shown.repicture());
  show(served);
}

start();
