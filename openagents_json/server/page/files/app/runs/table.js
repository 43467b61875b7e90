import { html, useEffect, useRef } from "../../vendored/preact.js";
import { link } from "../address.js";
import { errorLine } from "../formats.js";
import { Status, Time, Took } from "../parts/small.js";
import { narrowed } from "./filters.js";

/**
 * Runs in a table; cells are links that narrow the list.
 * @param {{runs: any[], query: URLSearchParams}} properties
 */
export function RunTable({ runs, query }) {
  const table = useRef(/** @type {HTMLElement | null} */ (null));
  useKeyboard(table);
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Runs"><table ref=${table}>
    <caption class="hidden">Runs, newest first. The keys j and k go to the next and the previous run, / to the filter.</caption>
    <thead><tr>
      <th scope="col">Status</th><th scope="col">Run</th><th scope="col">Workflow</th>
      <th scope="col">Started</th><th scope="col">Took</th><th scope="col">Failed at</th><th scope="col">Labels</th>
    </tr></thead>
    <tbody>${runs.map((run) => html`<${Row} key=${run.id} run=${run} query=${query} />`)}</tbody>
  </table></div>`;
}

/** @param {{run: any, query: URLSearchParams}} properties */
function Row({ run, query }) {
  const labels = Object.entries(run.labels);
  return html`<tr>
    <td><${Status} status=${run.status} /></td>
    <td><a class="id" data-row href=${link(["runs", run.id])}>${run.id}</a></td>
    <td><a href=${narrowed(query, "workflow", run.workflow)}>${run.workflow}</a> <span class="hint">${run.version}</span></td>
    <td><${Time} ms=${run.started_ms} /></td>
    <td><${Took} from=${run.started_ms} to=${run.ended_ms} /></td>
    <td class="error">${run.step && html`<code>${run.step}</code> `}
      ${run.error && html`<a href=${narrowed(query, "error", String(run.error.type))} title=${errorLine(run.error)}>${run.error.type}</a>`}
    </td>
    <td>${labels.map(([name, value]) => html`<a class="chip" href=${narrowed(query, "label", `${name}=${value}`)}>${name}=${value}</a> `)}</td>
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
