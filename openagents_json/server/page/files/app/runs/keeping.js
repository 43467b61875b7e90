import { signal } from "../../vendored/preact.js";

/**
 * Keep a value in this browser; where that is not allowed, as long as the page is open.
 * @template T
 * @param {string} name
 * @param {T} initial
 */
export function keptValue(name, initial) {
  const value = signal(read(name, initial));
  const keep = (/** @type {T} */ changed) => {
    value.value = changed;
    try {
      localStorage.setItem(name, JSON.stringify(changed));
    } catch {
      // A browser that keeps nothing: the value stays until the page is closed.
    }
  };
  return { value, keep };
}

/**
 * @template T
 * @param {string} name
 * @param {T} initial
 * @returns {T}
 */
function read(name, initial) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "") ?? initial;
  } catch {
    return initial;
  }
}
