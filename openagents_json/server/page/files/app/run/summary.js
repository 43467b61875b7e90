import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { errorLine } from "../formats.js";
import { Time, Took } from "../parts/small.js";

/**
 * What a run is and how it stands now.
 * @param {{overview: any}} properties
 */
export function Summary({ overview }) {
  const { info } = overview;
  const parts = [
    ["Workflow", html`<a href=${link(["runs"], new URLSearchParams({ workflow: info.workflow }))}>${info.workflow}</a> ${overview.workflow_version}`],
    ["Started", html`<${Time} ms=${info.started_ms} />`],
    ["Took", html`<${Took} from=${info.started_ms} to=${overview.ended_ms ?? overview.now_ms} />`],
    ["Events", info.version],
    ["Labels", Object.entries(info.labels).map(([name, value]) => html`<span class="chip">${name}=${value}</span> `)],
    ["Started by", info.parent && html`<a class="id" href=${link(["runs", String(info.parent.run)])}>${info.parent.run}</a>, step <code>${info.parent.step}</code>`],
    ["Has started", Object.entries(info.children).map(([step, run]) => html`<a class="id" href=${link(["runs", run])} title=${run}>${step}</a> `)],
    ["Worker", !overview.has_worker && "no live worker runs its components"],
  ];
  const isThere = (/** @type {any} */ value) => value && value.length !== 0;
  return html`<dl class="summary">
    ${parts.filter(([, value]) => isThere(value)).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>
  ${info.error && html`<div class="panel failed"><strong>${errorLine(info.error)}</strong>
    ${overview.failed_step && html` in <code>${overview.failed_step}</code>`}</div>`}
  ${overview.waits.length > 0 && html`<ul class="waits" aria-label="What it waits for">
    ${overview.waits.map((/** @type {any} */ wait) => html`<li key=${wait.step}><code>${wait.step}</code> ${wait.reason}
      ${wait.until_ms && html` until <${Time} ms=${wait.until_ms} />`}</li>`)}
  </ul>`}`;
}
