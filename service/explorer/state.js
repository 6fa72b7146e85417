// The state in the address bar, so that a view can be shared.

const listeners = new Set();

/** What is chosen now, as text by name. */
export function state() {
  return Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
}

/** Set some parameters; null, or nothing, takes a name out. */
export function put(parameters, changes) {
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") parameters.delete(name);
    else parameters.set(name, value);
  }
}

/** Change some of it; null takes a name out. A new entry of the history only for `push`. */
export function setState(changes, { push = false } = {}) {
  const now = new URLSearchParams(location.hash.slice(1));
  put(now, changes);
  const hash = `#${now}`;
  if (hash === location.hash) return;
  history[push ? "pushState" : "replaceState"](null, "", hash);
  tell();
}

/** Be told of each change, also of the back button's. */
export function onState(listener) {
  listeners.add(listener);
}

function tell() {
  for (const each of listeners) each(state());
}

addEventListener("popstate", tell);
addEventListener("hashchange", tell);
