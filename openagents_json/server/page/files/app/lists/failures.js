import { html, useSignal } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { quoted } from "../formats.js";
import { Command, ProblemNote, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 5_000;

/** The classes of failures, the latest first: how often, how many runs are failed so now, when and where. */
export function Failures() {
  const { value, problem } = usePolling((signal) => call("listFailures", { signal }), [], EVERY_MS);
  const classes = value.value;
  return html`<div class="heading"><h1>Failures</h1><span class="hint">by what failed, the latest first</span></div>
    <${ProblemNote} problem=${problem.value} isKept=${classes !== null} />
    ${classes?.length === 0 && html`<p role="status">Nothing has failed.</p>`}
    ${classes?.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Failures"><table>
      <thead><tr><th scope="col">What</th><th scope="col">Workflow</th><th scope="col">Now</th><th scope="col">Ever</th>
        <th scope="col">First</th><th scope="col">Last</th></tr></thead>
      <tbody>${classes.map((/** @type {any} */ row) => html`<${Row} key=${row.fingerprint} row=${row} />`)}</tbody>
    </table></div>`}`;
}

/** @param {{row: any}} properties */
function Row({ row }) {
  const isOpen = useSignal(false);
  const id = `failure-${row.fingerprint}`;
  const failed = new URLSearchParams({ fingerprint: row.fingerprint, status: "failed" });
  const here = document.baseURI.split("#")[0].replace(/\/$/, "");
  const words = ["openagents", "runs", "retry", "--where", `fingerprint=${row.fingerprint}`, "--dry-run", "--url", here];
  return html`<tr>
    <td class="error"><button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
      onClick=${() => (isOpen.value = !isOpen.value)}>${row.type}</button> ${row.message}</td>
    <td>${row.workflow}${row.step && html` <code>${row.step}</code>`}</td>
    <td class="number"><a href=${link(["runs"], failed)}>${row.now}</a></td>
    <td class="number">${row.count}</td>
    <td><a href=${link(["runs", row.first_run])}><${Time} ms=${row.first_ms} /></a></td>
    <td><a href=${link(["runs", row.last_run])}><${Time} ms=${row.last_ms} /></a></td>
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="6">
    <${Command} label="Which runs would go on from this failure; without --dry-run, they do" text=${words.map(quoted).join(" ")} />
  </td></tr>`}`;
}
