// The status line: what is going on.

import { at } from "./dom.js";

/** Say it; `bad` for what went wrong. */
export function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

/** Say it until the work is done; who waits for the work says what went wrong. */
export async function during(text, work) {
  say(text);
  const found = await work;
  say("");
  return found;
}

/** Say what went wrong; work that was given up on purpose is no error. */
export function complain(error) {
  if (error.name === "AbortError") return;
  say(error.message, true);
}

/** Runs work and says what went wrong. */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    complain(error);
    return undefined;
  }
}
