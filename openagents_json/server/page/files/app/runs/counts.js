import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { mark } from "../formats.js";
import { usePolling } from "../polling.js";

const STATUSES = ["running", "queued", "paused", "failing", "cancelling", "completed", "failed", "cancelled"];
const EVERY_MS = 5_000;

/** What a count of runs cannot be narrowed by, and what says which page is shown. */
const NOT_COUNTED = ["status", "limit", "after"];
const UNCOUNTABLE = ["as_of", "ended_after", "ended_before", "took_over_ms", "took_under_ms"];

/**
 * How many runs there are of each status, as links to them.
 * @param {{query: URLSearchParams}} properties
 */
export function StatusCounts({ query }) {
  const narrowed = new URLSearchParams(query);
  NOT_COUNTED.forEach((name) => narrowed.delete(name));
  const isCounted = !UNCOUNTABLE.some((name) => narrowed.has(name));
  const load = async (/** @type {AbortSignal} */ signal) =>
    isCounted ? (await call("countRunsByStatus", { query: narrowed, signal })).counts : {};
  const { value } = usePolling(load, [narrowed.toString()], isCounted ? EVERY_MS : 0);
  const chosen = query.getAll("status");
  return html`<ul class="counts" aria-label="Runs by status">
    ${STATUSES.map((status) => {
      const isChosen = chosen.includes(status);
      const count = value.value?.[status];
      return html`<li key=${status}>
        <a class=${`count is-${status}${count === 0 ? " is-none" : ""}`} href=${toggled(narrowed, chosen, status)} aria-current=${isChosen ? "true" : null}>
          <span class="number">${count ?? "–"}</span>
          <span><span aria-hidden="true">${mark(status)}</span> ${status}</span>
        </a>
      </li>`;
    })}
  </ul>`;
}

/**
 * @param {URLSearchParams} narrowed
 * @param {string[]} chosen
 * @param {string} status
 */
function toggled(narrowed, chosen, status) {
  const query = new URLSearchParams(narrowed);
  const others = chosen.filter((other) => other !== status);
  if (others.length === chosen.length) others.push(status);
  others.forEach((other) => query.append("status", other));
  return link(["runs"], query);
}
