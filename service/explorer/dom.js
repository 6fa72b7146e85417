// Make elements.

/**
 * An element with properties and children.
 * @param {string} tag such as "p", or "p.hint" with a class
 * @param {object} [properties] DOM properties; "data" and "aria" hold attributes, "on" listeners
 * @param {...(Node|string|null)} children
 */
export function h(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  made.classList.add(...classes);
  const { aria = {}, data = {}, on = {}, ...plain } = properties;
  for (const [key, value] of Object.entries(aria)) made.setAttribute(`aria-${key}`, value);
  for (const [key, value] of Object.entries(data)) made.dataset[key] = value;
  for (const [key, value] of Object.entries(on)) made.addEventListener(key, value);
  for (const [key, value] of Object.entries(plain)) {
    if (key === "role") made.setAttribute("role", value);
    else made[key] = value;
  }
  made.append(...children.filter((each) => each !== null && each !== undefined));
  return made;
}

/** The element of that id. */
export const at = (id) => document.getElementById(id);

/** A select element of these values; `names` shows others. */
export function choice(values, chosen, onchange, label, names = {}) {
  const options = values.map((value) =>
    h("option", { value, textContent: names[value] ?? value, selected: value === chosen }));
  return h("select", { aria: { label }, on: { change: (event) => onchange(event.target.value) } },
    ...options);
}

/** A labeled slider from 0 to 1. */
export function slider(label, value, oninput) {
  const input = h("input", { type: "range", min: 0, max: 1, step: 0.01, value,
    on: { input: () => oninput(Number(input.value)) } });
  return h("label", {}, `${label} `, input);
}

/** A share as a percentage. */
export const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

/** Copies text, and says so on the button for a moment. */
export function copyButton(title, text) {
  const button = h("button", { type: "button", textContent: title, on: { click: async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = title; }, 1200);
  } } });
  return button;
}

/** Hands a blob to the browser as a file. */
export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
