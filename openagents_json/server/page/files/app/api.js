import { keyHeaders, keyProblem } from "./key.js";
import { request } from "./operations.js";

/** What the service answers when something is wrong: problem details of RFC 9457. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{code?: string, title?: string, detail?: string, remedy?: string}} details
   */
  constructor(status, details) {
    super(details.detail || details.title || `the service answered ${status}`);
    this.status = status;
    this.code = details.code ?? "";
    this.remedy = details.remedy ?? "";
  }
}

/**
 * A request that may have to be sent again: the same body goes under the same key, so it is carried out once.
 * @typedef {{body: string, key: string}} Attempt
 */

/**
 * Carry out an operation, and return what it answers.
 * @param {string} operation
 * @param {object} [options]
 * @param {Record<string, string>} [options.path]
 * @param {URLSearchParams} [options.query]
 * @param {unknown} [options.body]
 * @param {AbortSignal} [options.signal]
 * @param {Attempt} [options.attempt]
 * @returns {Promise<any>}
 */
export async function call(operation, { path, query, body, signal, attempt } = {}) {
  const { method, url } = request(operation, path, query);
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json", ...keyHeaders() };
  const sent = body === undefined ? undefined : JSON.stringify(body);
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
    headers["Idempotency-Key"] = keyOf(sent ?? "", attempt);
  }
  const answer = await fetch(url, { method, headers, body: sent, signal, cache: "no-store" });
  if (!answer.ok) throw await problemOf(answer);
  return answer.status === 204 ? null : answer.json();
}

/**
 * Save what an operation answers as a file, as a click on a link would: a link could not say who asks.
 * @param {string} operation
 * @param {Record<string, string>} path
 * @param {string} name
 */
export async function download(operation, path, name) {
  const { url } = request(operation, path);
  const answer = await fetch(url, { headers: keyHeaders(), cache: "no-store" });
  if (!answer.ok) throw await problemOf(answer);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob());
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

/**
 * Return what is wrong; a service that wants to know who asks makes the page ask for a key.
 * @param {Response} answer
 */
export async function problemOf(answer) {
  const details = await answer.json().catch(() => ({}));
  const problem = new Problem(answer.status, details);
  // Of several requests that are refused, the first one says why; the others may have been given up meanwhile.
  if (answer.status === 401 && !keyProblem.peek()) keyProblem.value = problem.message;
  return problem;
}

/**
 * @param {string} body
 * @param {Attempt} [attempt]
 */
function keyOf(body, attempt = { body: "", key: "" }) {
  if (!attempt.key || attempt.body !== body) Object.assign(attempt, { body, key: unique() });
  return attempt.key;
}

/** @returns {string} a key under which a request is carried out once, however often it is sent */
function unique() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
