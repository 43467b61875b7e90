import { html } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { ProblemNote, Status, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 3_000;
const SHOWN = 200;

/** The worker processes that live, and the steps that are under way. */
export function Workers() {
  const load = async (/** @type {AbortSignal} */ signal) => {
    const [workers, steps] = await Promise.all([call("listWorkers", { signal }), call("listSteps", { signal })]);
    return { workers: Object.entries(workers), steps };
  };
  const { value, problem } = usePolling(load, [], EVERY_MS);
  const shown = value.value;
  return html`<div class="heading"><h1>Workers</h1></div>
    <${ProblemNote} problem=${problem.value} isKept=${shown !== null} />
    ${shown && html`<${WorkerTable} workers=${shown.workers} /><${StepTable} steps=${shown.steps} />`}`;
}

/** @param {{workers: [string, any][]}} properties */
function WorkerTable({ workers }) {
  if (workers.length === 0) return html`<p role="status">No worker lives: steps wait until one comes.</p>`;
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Workers"><table>
    <thead><tr><th scope="col">Worker</th><th scope="col">Seen</th><th scope="col">At once</th><th scope="col">Components</th>
      <th scope="col">Queues</th><th scope="col">Version</th></tr></thead>
    <tbody>${workers.map(([name, worker]) => html`<tr key=${name}>
      <td><code>${name}</code></td><td><${Time} ms=${worker.seen_ms} /></td><td class="number">${worker.concurrency}</td>
      <td class="number">${worker.components}</td><td>${(worker.queues ?? []).join(", ")}</td><td>${worker.version}</td>
    </tr>`)}</tbody>
  </table></div>`;
}

/** @param {{steps: any[]}} properties */
function StepTable({ steps }) {
  return html`<h2>Steps under way</h2>
    ${steps.length === 0 && html`<p role="status">None.</p>`}
    ${steps.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Steps under way"><table>
      <thead><tr><th scope="col">Status</th><th scope="col">Step</th><th scope="col">Workflow</th><th scope="col">Run</th>
        <th scope="col">Since</th><th scope="col">Attempt</th><th scope="col">Worker</th></tr></thead>
      <tbody>${steps.slice(0, SHOWN).map((step) => html`<tr key=${`${step.run} ${step.step}`}>
        <td><${Status} status=${step.status} /></td><td><code>${step.step}</code></td><td>${step.workflow}</td>
        <td><a class="id" href=${link(["runs", step.run])}>${step.run}</a></td><td><${Time} ms=${step.since_ms} /></td>
        <td class="number">${step.attempt || ""}</td><td><code>${step.worker}</code></td>
      </tr>`)}</tbody>
    </table></div>`}
    ${steps.length > SHOWN && html`<p class="hint">${steps.length - SHOWN} more are not shown.</p>`}`;
}
