import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { errorLine } from "../formats.js";
import { ProblemNote, Status, Time, Took, Value } from "../parts/small.js";
import { Actions } from "./run_actions.js";
import { History } from "./run_history.js";
import { useLiveRun } from "./run_live.js";
import { Steps } from "./run_steps.js";

/**
 * One run: how it stands, its steps, its events, and what can be done to it.
 * @param {{run: string, query: URLSearchParams}} properties
 */
export function Run({ run }) {
  const live = useLiveRun(run);
  const overview = live.overview.value;
  if (overview === null) {
    return html`<h1>Run <code>${run}</code></h1><${ProblemNote} problem=${live.problem.value} />
      ${!live.problem.value && html`<p class="hint" role="status">Loading</p>`}`;
  }
  const { info } = overview;
  return html`
    <p class="crumbs"><a href="#/runs">Runs</a></p>
    <div class="heading">
      <h1>${info.workflow} <code class="id">${info.id}</code></h1>
      <span role="status"><${Status} status=${info.status} /></span>
    </div>
    <${ProblemNote} problem=${live.problem.value} isKept />
    ${!live.isConnected.value && html`<p class="problem" role="alert">The connection is lost; trying again. What is shown may be older.</p>`}
    <${Summary} overview=${overview} />
    <${Actions} info=${info} waits=${overview.waits} onDone=${live.again} />
    <section aria-labelledby="steps"><h2 id="steps">Steps</h2>
      <${Steps} rows=${overview.steps} steps=${info.steps} bars=${live.timeline.value?.bars ?? []} nowMs=${overview.now_ms} />
    </section>
    <section aria-labelledby="data"><h2 id="data">Inputs and output</h2>
      <div class="columns">
        <${Value} label="Inputs" value=${info.inputs} />
        <${Value} label="Output" value=${info.output} />
      </div>
    </section>
    <section aria-labelledby="history"><h2 id="history">History</h2><${History} events=${live.events.value} /></section>
  `;
}

/** @param {{overview: any}} properties */
function Summary({ overview }) {
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
