import { html, useEffect, useRef } from "../../vendored/preact.js";
import { link } from "../address.js";
import { errorLine } from "../formats.js";
import { Status, Time, Took } from "../parts/small.js";
import { narrowed } from "./filters.js";
import { keptValue } from "./keeping.js";

/**
 * What the list says of each run; the run itself stands before it.
 * @type {readonly {name: string, title: string, kind: string, cell: (run: any, query: URLSearchParams) => any}[]}
 */
export const COLUMNS = [
  {
    name: "workflow", title: "Workflow", kind: "line",
    cell: (run, query) => html`<a href=${narrowed(query, "workflow", run.workflow)}>${run.workflow}</a> <span class="hint">${run.version}</span>`,
  },
  { name: "started", title: "Started", kind: "", cell: (run) => html`<${Time} ms=${run.started_ms} />` },
  { name: "took", title: "Took", kind: "", cell: (run) => html`<${Took} from=${run.started_ms} to=${run.ended_ms} />` },
  { name: "events", title: "Events", kind: "number", cell: (run) => run.events },
  {
    name: "failed", title: "Failed at", kind: "error",
    cell: (run, query) => html`${run.step && html`<code>${run.step}</code> `}
      ${run.error && html`<a href=${narrowed(query, "error", String(run.error.type))} title=${errorLine(run.error)}>${run.error.type}</a>`}`,
  },
  {
    name: "labels", title: "Labels", kind: "labels",
    cell: (run, query) => Object.entries(run.labels).map(
      ([name, value]) => html`<a class="chip" href=${narrowed(query, "label", `${name}=${value}`)}>${name}=${value}</a> `,
    ),
  },
];

/** The names of columns that nobody wants to see in this browser. */
export const hiddenColumns = keptValue("openagents.columns", /** @type {string[]} */ (["events"]));

/**
 * Runs in a table; cells are links that narrow the list.
 * @param {{runs: any[], query: URLSearchParams}} properties
 */
export function RunTable({ runs, query }) {
  const table = useRef(/** @type {HTMLElement | null} */ (null));
  useKeyboard(table);
  const hidden = hiddenColumns.value.value;
  const columns = COLUMNS.filter(({ name }) => !hidden.includes(name));
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Runs"><table ref=${table}>
    <caption class="hidden">Runs, newest first. The keys j and k go to the next and the previous run, / to the filter.</caption>
    <thead><tr>
      <th scope="col">Status</th><th scope="col">Run</th>
      ${columns.map(({ name, title }) => html`<th key=${name} scope="col">${title}</th>`)}
    </tr></thead>
    <tbody>${runs.map((run) => html`<${Row} key=${run.id} run=${run} columns=${columns} query=${query} />`)}</tbody>
  </table></div>`;
}

/** @param {{run: any, columns: typeof COLUMNS, query: URLSearchParams}} properties */
function Row({ run, columns, query }) {
  return html`<tr>
    <td><${Status} status=${run.status} /></td>
    <td><a class="id" data-row href=${link(["runs", run.id])}>${run.id}</a></td>
    ${columns.map(({ name, kind, cell }) => html`<td key=${name} class=${kind}>${cell(run, query)}</td>`)}
  </tr>`;
}

/**
 * Let keys go through the rows; never while somebody writes.
 * @param {{current: HTMLElement | null}} table
 */
function useKeyboard(table) {
  useEffect(() => {
    const pressed = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea")) return;
      const step = { j: 1, k: -1 }[event.key];
      if (step && table.current) focusRow(table.current, step);
      if (event.key !== "/") return;
      event.preventDefault();
      /** @type {HTMLElement | null} */ (document.querySelector("[data-search]"))?.focus();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

/**
 * @param {HTMLElement} table
 * @param {number} step
 */
function focusRow(table, step) {
  const rows = /** @type {HTMLElement[]} */ ([...table.querySelectorAll("[data-row]")]);
  const at = rows.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const following = at < 0 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1);
  rows[following]?.focus();
}
