// Show an item's thumbnail, also where the service asks for a key.

import { call, itemPath } from "./api.js";
import { h } from "./dom.js";

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    fill(target);
  }
}, { rootMargin: "200px" });

/** An image that is fetched when it comes into sight. */
export function thumbnail(collection, id) {
  const image = h("img", { alt: id, data: { collection, id } });
  seen.observe(image);
  return image;
}

async function fill(image) {
  const { collection, id } = image.dataset;
  try {
    const response = await call(`${itemPath(collection, id)}/thumbnail`, { accept: "image/jpeg" });
    image.src = URL.createObjectURL(await response.blob());
    image.addEventListener("load", () => URL.revokeObjectURL(image.src), { once: true });
  } catch {
    image.alt = `${id} (gone)`;
  }
}
