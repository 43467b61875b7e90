import { html, useSignal } from "../../vendored/preact.js";
import { call } from "../api.js";
import { duration, quoted } from "../formats.js";
import { curl } from "../operations.js";
import { Dialog } from "../parts/dialog.js";
import { ProblemNote, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";
import { ACTIONS, orderText } from "./orders.js";

const EVERY_MS = 3_000;

/** What waits for each worker type, who takes it, and what workers were told; queues are paused and limited here. */
export function Queues() {
  const round = useSignal(0);
  const load = async (/** @type {AbortSignal} */ signal) => {
    const [queues, orders] = await Promise.all([call("listQueues", { signal }), call("listOrders", { signal })]);
    return { queues, orders };
  };
  const { value, problem } = usePolling(load, [round.value], EVERY_MS);
  const chosen = useSignal(/** @type {{queue: any, action: import("./orders.js").Action} | null} */ (null));
  const shown = value.value;
  return html`<div class="heading"><h1>Queues</h1><span class="hint">what waits for workers, by worker type</span></div>
    <${ProblemNote} problem=${problem.value} isKept=${shown !== null} />
    ${shown && html`<${QueueTable} queues=${shown.queues} choose=${(/** @type {any} */ what) => (chosen.value = what)} />
      <h2>What workers were told</h2><${Orders} orders=${shown.orders} />`}
    ${chosen.value && html`<${OrderDialog} ...${chosen.value} onDone=${() => (round.value += 1)} onClose=${() => (chosen.value = null)} />`}`;
}

/** @param {{queues: any[], choose: (what: {queue: any, action: import("./orders.js").Action}) => void}} properties */
function QueueTable({ queues, choose }) {
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Queues"><table>
    <thead><tr><th scope="col">Queue</th><th scope="col">Waiting</th><th scope="col">The oldest for</th><th scope="col">Workers</th>
      <th scope="col">Slots</th><th scope="col">How it stands</th><th scope="col">What can be done</th></tr></thead>
    <tbody>${queues.map((queue) => html`<tr key=${queue.name}>
      <td><code>${queue.name}</code></td>
      <td class="number">${queue.ready}</td>
      <td class="number">${queue.ready > 0 && duration(queue.oldest_ms)}</td>
      <td class="number">${queue.workers}</td>
      <td class="number">${queue.slots}</td>
      <td>${standing(queue)}</td>
      <td class="line">${[queue.paused ? ACTIONS.resume : ACTIONS.pause, ACTIONS.limit].map((action) => html`<button key=${action.title} type="button"
        aria-label=${`${action.title} ${queue.name}`} onClick=${() => choose({ queue, action })}>${action.title}</button> `)}</td>
    </tr>`)}</tbody>
  </table></div>`;
}

/** @param {any} queue */
function standing(queue) {
  const limit = queue.at_most > 0 && html`<span class="chip">${queue.at_most} at a time in each worker</span>`;
  if (queue.paused) {
    return html`<span class="status is-paused"><span aria-hidden="true">‖</span> paused</span> by ${queue.by}${queue.reason && `: ${queue.reason}`} ${limit}`;
  }
  if (queue.workers > 0) return limit;
  return html`<span class=${queue.ready > 0 ? "status is-failed" : "hint"}>no live worker takes from it</span> ${limit}`;
}

/** @param {{orders: any[]}} properties */
function Orders({ orders }) {
  if (orders.length === 0) return html`<p role="status">Nothing yet.</p>`;
  return html`<div class="scroll" role="group" tabindex="0" aria-label="What workers were told"><table>
    <thead><tr><th scope="col">When</th><th scope="col">What</th><th scope="col">To</th><th scope="col">By</th><th scope="col">Reason</th></tr></thead>
    <tbody>${orders.map((order) => html`<tr key=${`${order.at_ms} ${order.what} ${order.target}`}>
      <td><${Time} ms=${order.at_ms} /></td><td>${orderText(order)}</td><td><code>${order.target}</code></td><td>${order.by}</td>
      <td class="error">${order.reason}</td>
    </tr>`)}</tbody>
  </table></div>`;
}

/** @param {{queue: any, action: import("./orders.js").Action, onDone: () => void, onClose: () => void}} properties */
function OrderDialog({ queue, action, onDone, onClose }) {
  const reason = useSignal("");
  const atMost = useSignal(queue.at_most > 0 ? String(queue.at_most) : "");
  const isLimit = action === ACTIONS.limit;
  const path = { name: queue.name };
  const body = action.body({ reason: reason.value, atMost: atMost.value });
  const send = async (/** @type {import("../api.js").Attempt} */ attempt) => {
    await call(action.operation, { path, body, attempt });
    onDone();
  };
  const words = ["openagents", "workers", ...action.words({ name: queue.name, reason: reason.value, atMost: atMost.value })];
  const commands = [
    { label: "The same by the command line, where the store is reached", text: words.map(quoted).join(" ") },
    { label: "The same over HTTP", text: curl(action.operation, path, body) },
  ];
  return html`<${Dialog} title=${`${action.title} ${queue.name}`} means=${action.means} isWrong=${false} send=${send} onClose=${onClose} commands=${commands}>
    ${isLimit && html`<label>Steps at a time in each worker; empty for as many as it has slots
      <input type="number" min="1" max="100000" step="1" value=${atMost.value} onInput=${(/** @type {any} */ event) => (atMost.value = event.target.value)} /></label>`}
    <label>Reason, kept in the log<input value=${reason.value} onInput=${(/** @type {any} */ event) => (reason.value = event.target.value)} /></label>
  <//>`;
}
