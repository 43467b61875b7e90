import { html, useSignal } from "../../vendored/preact.js";
import { duration, exactTime } from "../formats.js";
import { usePolling } from "../polling.js";
import { Time, Value } from "../parts/small.js";
import { readCapsule } from "./capsule.js";
import { dropped } from "./dropped.js";

const SHOWN = 200;

/** A run in a file: dropped on the page, or chosen here. It is read in the browser and sent nowhere. */
export function CapsulePage() {
  const file = dropped.value;
  const choose = (/** @type {any} */ event) => (dropped.value = event.target.files[0] ?? null);
  return html`<div class="heading"><h1>A run in a file</h1><span class="hint">a capsule, as openagents runs export writes it</span></div>
    <label class="search">Drop a capsule on the page, or choose one<input type="file" onChange=${choose} /></label>
    <p class="hint">It is read in this browser and sent nowhere.</p>
    ${file && html`<${Opened} file=${file} key=${`${file.name} ${file.size} ${file.lastModified}`} />`}`;
}

/** @param {{file: File}} properties */
function Opened({ file }) {
  const { value, problem } = usePolling(() => readCapsule(file), [file], 0);
  if (problem.value) return html`<p class="problem" role="alert"><strong>${file.name} cannot be opened.</strong> ${problem.value.message}</p>`;
  if (value.value === null) return html`<p class="hint" role="status">Loading</p>`;
  const { manifest, events, changed, isChecked } = value.value;
  const parts = [
    ["Run", html`<code class="id">${String(manifest.run)}</code>`], ["Events", events.length], ["Began", html`<${Time} ms=${events[0]?.time_ms} />`],
    ["Parts", !isChecked ? "not checked: this page came unencrypted" : changed.length === 0 ? "as the manifest says" : ""],
  ];
  return html`<dl class="summary">${parts.filter(([, shown]) => shown).map(([name, shown]) => html`<div key=${name}><dt>${name}</dt><dd>${shown}</dd></div>`)}</dl>
    ${changed.length > 0 && html`<p class="problem" role="alert"><strong>The file was changed:</strong> ${changed.join(", ")}</p>`}
    <${Events} events=${events} />
    <${Value} label="Manifest" value=${manifest} />`;
}

/** @param {{events: any[]}} properties */
function Events({ events }) {
  const most = useSignal(SHOWN);
  const beganMs = events[0]?.time_ms ?? 0;
  const shown = events.slice(0, most.value);
  return html`<h2>History</h2><div class="scroll" role="group" tabindex="0" aria-label="History of the capsule"><table>
    <thead><tr><th scope="col">Version</th><th scope="col">After</th><th scope="col">Event</th><th scope="col">Step</th><th scope="col">By</th></tr></thead>
    <tbody>${shown.map((event) => html`<${Event} key=${event.version} event=${event} beganMs=${beganMs} />`)}</tbody>
  </table></div>
  ${events.length > shown.length && html`<button type="button" onClick=${() => (most.value += SHOWN)}>Show more: ${events.length - shown.length} are left</button>`}`;
}

/** @param {{event: any, beganMs: number}} properties */
function Event({ event, beganMs }) {
  const isOpen = useSignal(false);
  const id = `capsule-event-${event.version}`;
  return html`<tr>
    <td class="number">${event.version}</td>
    <td><time datetime=${exactTime(event.time_ms)}>+${duration(event.time_ms - beganMs)}</time></td>
    <td><button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
      onClick=${() => (isOpen.value = !isOpen.value)}>${event.type}</button></td>
    <td>${event.step && html`<code>${String(event.step)}</code>`}</td><td>${event.actor}</td>
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="5"><${Value} label=${`What ${event.type} says`} value=${event.data} /></td></tr>`}`;
}
