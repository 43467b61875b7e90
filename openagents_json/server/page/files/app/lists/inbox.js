import { html, useSignal } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { ProblemNote, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";
import { ActionDialog } from "../run/actions.js";
import { ACTIONS } from "../run/commands.js";

const EVERY_MS = 3_000;
const MOST = "200";
const SIGNAL = /** @type {import("../run/commands.js").Action} */ (ACTIONS.find(({ name }) => name === "signal"));

/** What waits for people: each step that waits for a signal, the longest first, with a form for its answer. */
export function Inbox() {
  const query = new URLSearchParams({ limit: MOST });
  const round = useSignal(0);
  const { value, problem } = usePolling((signal) => call("listWaiting", { query, signal }), [round.value], EVERY_MS);
  const chosen = useSignal(/** @type {{run: string, awaited: any} | null} */ (null));
  const waiting = value.value;
  return html`<div class="heading"><h1>Inbox</h1><span class="hint">what waits for a signal, the longest first</span></div>
    <${ProblemNote} problem=${problem.value} isKept=${waiting !== null} />
    ${waiting?.length === 0 && html`<p role="status">Nothing waits.</p>`}
    ${waiting?.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Inbox"><table>
      <thead><tr><th scope="col">Workflow</th><th scope="col">Step</th><th scope="col">Run</th><th scope="col">Since</th>
        <th scope="col">Until</th><th scope="col">Answer</th></tr></thead>
      <tbody>${waiting.map((/** @type {any} */ row) => html`<tr key=${`${row.run} ${row.wait.step}`}>
        <td>${row.workflow}</td><td><code>${row.wait.step}</code></td>
        <td><a class="id" href=${link(["runs", row.run])}>${row.run}</a></td>
        <td><${Time} ms=${row.since_ms} /></td>
        <td><${Time} ms=${row.wait.until_ms} />${row.wait.until_ms && row.wait.fails_then ? " then it fails" : ""}</td>
        <td>${row.wait.signals.map((/** @type {any} */ awaited) => html`<button key=${awaited.name} type="button"
          onClick=${() => (chosen.value = { run: row.run, awaited })}>${awaited.name}</button> `)}</td>
      </tr>`)}</tbody>
    </table></div>`}
    ${chosen.value && html`<${ActionDialog} action=${SIGNAL} run=${chosen.value.run} steps=${[]} awaited=${chosen.value.awaited}
      onDone=${() => (round.value += 1)} onClose=${() => (chosen.value = null)} />`}`;
}
