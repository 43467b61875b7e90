import { html, useSignal } from "../../vendored/preact.js";
import { go, linkHere } from "../address.js";
import { errorLine } from "../formats.js";
import { Loaded } from "../parts/loaded.js";
import { Status, Time, Took } from "../parts/small.js";
import { Comparison } from "./comparison.js";

/**
 * Why a run is as it is, and how it differs from another one; each is asked for when somebody wants to see it.
 * @param {{run: string, version: number, other: string}} properties `version` is that of the run as it is now
 */
export function Insight({ run, version, other }) {
  const isExplained = useSignal(false);
  const compare = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const data = new FormData(/** @type {HTMLFormElement} */ (event.target));
    go(linkHere({ compare: String(data.get("other")).trim() }), { replaces: true });
  };
  return html`<div class="insight">
    <button type="button" aria-expanded=${isExplained.value ? "true" : "false"} onClick=${() => (isExplained.value = !isExplained.value)}>Explain</button>
    <form onSubmit=${compare}>
      <input name="other" aria-label="Another run" placeholder="id of another run" size="30" value=${other} />
      <button type="submit">Compare</button>
    </form>
  </div>
  ${isExplained.value && html`<div class="panel"><h2>Why it is so</h2>
    <${Loaded} key=${version} operation="explainRun" path=${{ run }} draw=${explained} /></div>`}
  ${other && html`<div class="panel"><h2>Compared with another run</h2>
    <${Loaded} key=${`${version} ${other}`} operation="diffRuns" path=${{ run, other }}
      draw=${(/** @type {any} */ comparison) => html`<${Comparison} run=${run} other=${other} comparison=${comparison} />`} /></div>`}`;
}

/** @param {any} explanation */
function explained(explanation) {
  const { run, status, step, error, reason, attempts, waits, reopened, imported, reference, comparison, builds } = explanation;
  const isEnd = comparison === null && !error && !reason && Object.keys(waits).length === 0;
  return html`
    <p><${Status} status=${status} /> ${error ? html`${step && html`<code>${step}</code> failed: `}${errorLine(error)}` : reason}</p>
    ${isEnd && html`<p class="hint">Nothing failed, and nothing keeps it.</p>`}
    ${Object.entries(waits).map(([path, wait]) => html`<p key=${path}><code>${path}</code> ${wait}</p>`)}
    ${reopened && html`<p>${reopened}</p>`}${imported && html`<p>${imported}</p>`}
    ${builds.map((/** @type {any} */ change) => html`<p key=${`${change.step} ${change.attempt}`}><code>${change.step}</code> attempt ${change.attempt} ran
      build <code>${change.after}</code> of ${change.component}, the one before <code>${change.before}</code>.</p>`)}
    ${attempts.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Attempts"><table>
      <thead><tr><th scope="col">Attempt</th><th scope="col">Ended</th><th scope="col">Began</th><th scope="col">Took</th>
        <th scope="col">Worker</th><th scope="col">Build</th><th scope="col">Error</th></tr></thead>
      <tbody>${attempts.map((/** @type {any} */ attempt) => html`<tr key=${attempt.number}>
        <td class="number">${attempt.number}</td><td>${attempt.end}</td><td><${Time} ms=${attempt.started_ms} /></td>
        <td><${Took} from=${attempt.started_ms} to=${attempt.ended_ms} /></td><td><code>${attempt.worker}</code></td>
        <td><code>${attempt.build}</code></td><td class="error">${errorLine(attempt.error)}</td>
      </tr>`)}</tbody>
    </table></div>`}
    ${comparison && html`<h3>The nearest run that completed</h3><${Comparison} run=${run} other=${reference} comparison=${comparison} />`}`;
}
