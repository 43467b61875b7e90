import { html } from "../../vendored/preact.js";
import { go, link } from "../address.js";

/** The fields of the API's filter, with an example of each. */
const FIELDS = Object.freeze({
  workflow: "greeting",
  workflow_version: "1.0.0",
  label: "team=sales",
  error: "TimeoutError",
  fingerprint: "",
  parent: "",
  forked_from: "",
  started_after: "2026-11-23T08:00:00Z",
  started_before: "2026-11-23T08:00:00Z",
  ended_after: "2026-11-23T08:00:00Z",
  ended_before: "2026-11-23T08:00:00Z",
  took_over_ms: "1000",
  took_under_ms: "1000",
  reopened: "true",
  held: "true",
  redacted: "true",
  imported: "true",
  as_of: "2026-11-23T08:00:00Z",
  limit: "100",
});
const ONCE = /_(after|before|ms|of)$|^(limit|reopened|held|redacted|imported)$/;

/**
 * Return the link to the runs of here that have a value in a field too.
 * @param {URLSearchParams} query
 * @param {string} name
 * @param {string} value
 */
export function narrowed(query, name, value) {
  const changed = new URLSearchParams(query);
  changed.delete("after");
  if (ONCE.test(name) && name !== "forked_from") changed.set(name, value);
  else if (!changed.getAll(name).includes(value)) changed.append(name, value);
  return link(["runs"], changed);
}

/**
 * What narrows the list, each part with what takes it away, and a line to add another.
 * @param {{query: URLSearchParams}} properties
 */
export function Filters({ query }) {
  const parts = [...query].filter(([name]) => name !== "after" && name !== "status");
  const add = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const data = new FormData(form);
    const value = String(data.get("value")).trim();
    if (value) go(narrowed(query, String(data.get("field")), value));
    form.reset();
  };
  return html`<form class="filters" role="search" aria-label="Filter of runs" onSubmit=${add}>
    <select name="field" aria-label="Field">
      ${Object.entries(FIELDS).map(
        ([name, example]) => html`<option value=${name}>${name}${example && ` (${example})`}</option>`,
      )}
    </select>
    <input name="value" aria-label="Value" placeholder="value" size="24" data-search />
    <button type="submit">Add filter</button>
    ${parts.map(
      ([name, value]) => html`<a class="chip" href=${without(query, name, value)} title="Take this filter away">
        ${name}=${value} <span aria-hidden="true">×</span><span class="hidden">, take away</span>
      </a>`,
    )}
  </form>`;
}

/**
 * @param {URLSearchParams} query
 * @param {string} name
 * @param {string} value
 */
function without(query, name, value) {
  const others = [...query].filter(([other, its]) => other !== "after" && !(other === name && its === value));
  return link(["runs"], new URLSearchParams(others));
}
