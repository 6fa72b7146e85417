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

/** A button; `label` is for those who do not see what stands around it. */
export function button(text, onclick, { label = text, ...properties } = {}) {
  return h("button", { type: "button", textContent: text, aria: label === text ? {} : { label },
    on: { click: onclick }, ...properties });
}

/** An input element that says in itself what it is for. */
export const field = (type, placeholder, label, properties = {}) =>
  h("input", { type, placeholder, aria: { label }, ...properties });

/** Mark the one that is shown, for screen readers, too; `kind` as of aria-current. */
export function markCurrent(elements, isCurrent, kind) {
  for (const each of elements) {
    if (isCurrent(each)) each.setAttribute("aria-current", kind);
    else each.removeAttribute("aria-current");
  }
}

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
export const percent = (share, digits = share < 0.1 ? 1 : 0) => `${(100 * share).toFixed(digits)} %`;

/** Copies text, and says so on the button for a moment. */
export function copyButton(title, text) {
  const made = button(title, async () => {
    await navigator.clipboard.writeText(text());
    made.textContent = "Copied";
    setTimeout(() => { made.textContent = title; }, 1200);
  });
  return made;
}

/** Hands a blob to the browser as a file. */
export function save(blob, name) {
  const link = h("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/** Shows a picture that was fetched. */
export function showBlob(image, blob) {
  const url = URL.createObjectURL(blob);
  image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  image.src = url;
}

/** Where an event points, as shares of the element's width and height. */
export function pointed({ clientX, clientY }, element) {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [(clientX - left) / width, (clientY - top) / height];
}

/** Sets sides of an element, such as `width`, as shares of its parent's. */
export function setShares(element, sides) {
  for (const [side, share] of Object.entries(sides)) element.style[side] = `${100 * share}%`;
}

/** The number nearest to a value that is neither below nor above. */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
