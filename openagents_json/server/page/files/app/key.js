import { signal } from "../vendored/preact.js";

const NAME = "openagents.api-key";

/** The API key of this tab; it is gone when the tab is closed. */
export const apiKey = signal(sessionStorage.getItem(NAME) ?? "");

/** Why the service wants to know who asks; empty while it does not. */
export const keyProblem = signal("");

/**
 * Keep a key for this tab, or forget it when it is empty.
 * @param {string} secret
 */
export function keepKey(secret) {
  if (secret) sessionStorage.setItem(NAME, secret);
  else sessionStorage.removeItem(NAME);
  apiKey.value = secret;
  keyProblem.value = "";
}

/** @returns {Record<string, string>} the headers that say who asks */
export function keyHeaders() {
  return apiKey.peek() ? { Authorization: `Bearer ${apiKey.peek()}` } : {};
}
