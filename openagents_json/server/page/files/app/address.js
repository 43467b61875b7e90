import { signal } from "../vendored/preact.js";

/**
 * Where the page is, as it stands behind the `#` of its address: `/runs?status=failed`.
 * @typedef {{path: string[], query: URLSearchParams}} Address
 */

const FIRST = "/runs";

/** @returns {Address} */
function read() {
  const text = location.hash.slice(1) || FIRST;
  const [path, query = ""] = [text.split("?", 1)[0], text.slice(text.indexOf("?") + 1)];
  return {
    path: path.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(text.includes("?") ? query : ""),
  };
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @type {import("../vendored/preact.js").Signal<Address>} */
export const address = signal(read());
addEventListener("hashchange", () => (address.value = read()));

/**
 * Return the link to a part of the page.
 * @param {string[]} path
 * @param {URLSearchParams} [query]
 */
export function link(path, query = new URLSearchParams()) {
  const text = query.toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/**
 * Return the link to here with another query; a value of null or "" takes a name out.
 * @param {Record<string, string | null>} changes
 */
export function linkHere(changes) {
  const { path, query } = address.value;
  const changed = new URLSearchParams(query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) changed.set(name, value);
    else changed.delete(name);
  }
  return link(path, changed);
}

/**
 * Go there; with `replaces`, going back does not lead here again.
 * @param {string} href
 * @param {{replaces?: boolean}} [options]
 */
export function go(href, { replaces = false } = {}) {
  if (!replaces) location.hash = href;
  else {
    history.replaceState(null, "", href);
    address.value = read();
  }
}
