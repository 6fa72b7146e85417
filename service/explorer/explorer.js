"use strict";

const at = (id) => document.getElementById(id);
const base = new URL(".", location.href).href;
let current = null;
let target = null;
let served = [];

async function answerOf(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(`${body.title}: ${body.detail} (${body.request_id})`);
  return body;
}

function node(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

async function listModels() {
  try {
    const { models } = await answerOf(await fetch(base + "v1/models"));
    served = models;
    for (const model of models) {
      const option = node("option", model.name);
      option.selected = model.default;
      at("model").append(option);
    }
  } catch (error) {
    complain(error);
    setTimeout(listModels, 2000);
    return;
  }
  listMethods();
  if (!current) say("No picture yet.");
}

function listMethods() {
  const model = served.find((each) => each.name === at("model").value);
  at("method").replaceChildren(...model.explanations.map((name) => node("option", name)));
}

async function explain() {
  const file = current;
  const query = new URLSearchParams({ model: at("model").value, style: at("style").value });
  query.set("size", "original");
  if (target !== null) query.set("target", target);
  const path = `v1/explain/${at("method").value}?${query}`;
  at("why").textContent = "Working…";
  at("why").className = "";
  at("curl").textContent =
    `curl -F image=@${file.name || "picture"} -o why.png '${base}${path}&format=png'`;
  const began = performance.now();
  try {
    const response = await fetch(base + path, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream", Accept: "image/png" },
      body: file,
    });
    if (!response.ok) await answerOf(response);
    const drawn = await response.blob();
    if (file !== current) return;
    URL.revokeObjectURL(at("map").src);
    at("map").src = URL.createObjectURL(drawn);
    at("map").alt = `${at("method").value} drawn on the picture`;
    at("map").hidden = false;
    at("why").textContent = `${Math.round(performance.now() - began)} ms`;
  } catch (error) {
    at("why").textContent = error.message;
    at("why").className = "problem";
  }
}

function aim(row, index) {
  for (const each of at("predictions").children) each.removeAttribute("aria-current");
  row.setAttribute("aria-current", "true");
  target = index;
  explain();
}

function say(text) {
  at("status").textContent = text;
  at("status").className = "";
}

function complain(error) {
  at("status").textContent = error.message;
  at("status").className = "problem";
}

function show(file) {
  URL.revokeObjectURL(at("preview").src);
  at("preview").src = URL.createObjectURL(file);
  at("preview").hidden = false;
  at("invite").hidden = true;
}

async function classify() {
  if (!current) return;
  const file = current;
  const model = at("model").value;
  say("Looking…");
  at("predictions").replaceChildren();
  at("facts").replaceChildren();
  at("curl").textContent =
    `curl -F image=@${file.name || "picture"} '${base}v1/classify?model=${model}'`;
  try {
    const query = new URLSearchParams({ model, top_k: 5 });
    const response = await fetch(`${base}v1/classify?${query}`, {
      method: "POST",
      headers: { "Content-Type": "application/octet-stream" },
      body: file,
    });
    const answer = await answerOf(response);
    if (file !== current) return; // another picture was chosen meanwhile
    const timing = /total;dur=([\d.]+)/.exec(response.headers.get("Server-Timing") || "");
    say(`${answer.model}${timing ? ` answered in ${timing[1]} ms` : ""}`);
    draw(answer);
  } catch (error) {
    complain(error);
  }
}

function draw(answer) {
  for (const each of answer.predictions) {
    const row = node("li");
    const bar = node("span", undefined, "bar");
    const fill = node("i");
    fill.style.width = `${each.probability * 100}%`;
    bar.append(fill);
    const share = `${(each.probability * 100).toFixed(1)} %`;
    row.append(node("span", each.label), bar, node("span", share, "share"));
    row.addEventListener("click", () => aim(row, each.class_index));
    row.title = `class ${each.class_index}, logit ${each.logit.toFixed(2)}`;
    at("predictions").append(row);
  }
  for (const [name, value] of Object.entries(answer.image)) {
    at("facts").append(node("dt", name), node("dd", String(value)));
  }
}

function choose(file) {
  if (!file) return;
  current = file;
  target = null;
  at("explain").disabled = false;
  at("map").hidden = true;
  at("why").textContent = "Click a class to explain that one.";
  show(file);
  classify();
}

at("drop").addEventListener("click", () => at("file").click());
at("drop").addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") at("file").click();
});
at("file").addEventListener("change", () => choose(at("file").files[0]));
at("drop").addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
at("drop").addEventListener("dragleave", () => at("drop").classList.remove("over"));
at("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  choose(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => choose(event.clipboardData.files[0]));
at("explain").addEventListener("click", explain);
at("model").addEventListener("change", () => {
  target = null;
  listMethods();
  classify();
});
listModels();
