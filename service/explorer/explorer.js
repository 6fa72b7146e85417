// The frame of the page: models, views, theme. Knows no view from inside.

import { getJson } from "./api.js";
import { at, h } from "./dom.js";
import { startPicture } from "./picture.js";
import { say } from "./say.js";
import { onState, setState, state } from "./state.js";
import * as gallery from "./gallery.js";
import * as inside from "./inside.js";
import * as look from "./look.js";
import * as map from "./map.js";

const VIEWS = { look, inside, gallery, map };
const TITLES = { look: "Look", inside: "Inside", gallery: "Gallery", map: "Map" };
const RETRY_MS = 1500;

let shown = null;

function show({ view }) {
  const name = view in VIEWS ? view : "look";
  for (const link of at("views").children) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (name === shown) return;
  if (shown) VIEWS[shown].leave?.();
  shown = name;
  document.title = `Seethrough · ${TITLES[name]}`;
  at("content").replaceChildren();
  VIEWS[name].enter(at("content"));
}

function addViews() {
  at("views").append(...Object.entries(TITLES).map(([view, title]) =>
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
  const wanted = state().model;
  const chosen = models.find((each) => each.name === wanted) ?? models.find((each) => each.default);
  at("model").append(...models.map(({ name }) =>
    h("option", { value: name, textContent: name, selected: name === chosen.name })));
  at("model").addEventListener("change", () =>
    setState({ model: at("model").value, target: null, layer: null }));
  const { methods } = await getJson("v1/explain");
  for (const view of Object.values(VIEWS)) view.start(models, methods);
  setState({ model: chosen.name });
  say("");
  onState(show);
  show(state());
}

start();
