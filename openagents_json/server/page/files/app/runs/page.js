import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { usePolling } from "../polling.js";
import { ProblemNote } from "../parts/small.js";
import { Filters } from "./filters.js";
import { Beginning } from "./beginning.js";
import { StatusCounts } from "./counts.js";
import { Bulk } from "./bulk.js";
import { RunTable } from "./table.js";
import { Views } from "./views.js";

const EVERY_MS = 2_000;

/**
 * The runs of a store, newest first, by the filter in the address; it is the API's own.
 * @param {{query: URLSearchParams}} properties
 */
export function Runs({ query }) {
  const text = query.toString();
  // A page that is not the first, or that is of an earlier time, does not change under who reads it.
  const isLive = !query.has("after") && !query.has("as_of");
  const load = (/** @type {AbortSignal} */ signal) => call("listRuns", { query, signal });
  const { value, problem, isNew } = usePolling(load, [text], isLive ? EVERY_MS : 0);
  const page = value.value;
  const isEmpty = page && page.items.length === 0 && !isNew.value;
  if (isEmpty && text === "") return html`<${Beginning} />`;
  return html`
    <div class="heading">
      <h1>Runs</h1>
      <span class="hint">${isLive ? "live, newest first" : "newest first"}</span>
    </div>
    <${StatusCounts} query=${query} />
    <${Filters} query=${query} />
    <div class="tools"><${Views} query=${query} /><${Bulk} query=${query} /></div>
    <${ProblemNote} problem=${problem.value} isKept=${page !== null} />
    ${page === null && !problem.value && html`<p class="hint" role="status">Loading</p>`}
    ${isEmpty && html`<p role="status">No run is like that. <a href=${link(["runs"])}>Show all runs</a></p>`}
    ${page && page.items.length > 0 && html`<${RunTable} runs=${page.items} query=${query} />`}
    ${page && html`<${Paging} query=${query} next=${page.next} />`}
  `;
}

/** @param {{query: URLSearchParams, next: string}} properties */
function Paging({ query, next }) {
  const first = new URLSearchParams(query);
  first.delete("after");
  const following = new URLSearchParams(query);
  following.set("after", next);
  return html`<nav class="paging" aria-label="Pages">
    ${query.has("after") && html`<a href=${link(["runs"], first)}>Newest runs</a>`}
    ${next && html`<a href=${link(["runs"], following)} rel="next">Older runs</a>`}
  </nav>`;
}
