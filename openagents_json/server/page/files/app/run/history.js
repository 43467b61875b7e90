import { html, useSignal } from "../../vendored/preact.js";
import { linkHere } from "../address.js";
import { duration, exactTime, time } from "../formats.js";
import { useKept } from "../parts/kept.js";
import { Value } from "../parts/small.js";

const SHOWN = 100;

/**
 * The events of a run, the newest first; that of the moment that is shown is marked.
 * @param {{events: any[], version: number}} properties
 */
export function History({ events, version }) {
  const most = useSignal(SHOWN);
  const beganMs = events[0]?.time_ms ?? 0;
  const shown = events.slice(-most.value).reverse();
  const kept = useKept();
  return html`<div class="scroll" role="group" tabindex="0" aria-label="History"><table>
    <thead><tr><th scope="col">Version</th><th scope="col">After</th><th scope="col">Event</th><th scope="col">Step</th>
      <th scope="col">By</th></tr></thead>
    <tbody>${shown.map((event) => {
      const isNow = event.version === version;
      const isLater = version > 0 && event.version > version;
      return kept(event.version, [event, beganMs, isNow, isLater], () => html`<${Event} key=${event.version} event=${event} beganMs=${beganMs}
        isNow=${isNow} isLater=${isLater} />`);
    })}</tbody>
  </table></div>
  ${events.length > shown.length && html`<button type="button" onClick=${() => (most.value += SHOWN)}>
    Show earlier: ${events.length - shown.length} are left</button>`}`;
}

/** @param {{event: any, beganMs: number, isNow: boolean, isLater: boolean}} properties */
function Event({ event, beganMs, isNow, isLater }) {
  const isOpen = useSignal(false);
  const id = `event-${event.version}`;
  return html`<tr class=${isNow ? "now" : isLater ? "later" : ""}>
    <td class="number"><a href=${linkHere({ at: String(event.version) })} aria-label=${`The run after event ${event.version}`}>${event.version}</a></td>
    <td><time datetime=${exactTime(event.time_ms)} title=${time(event.time_ms)}>+${duration(event.time_ms - beganMs)}</time></td>
    <td><button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
      onClick=${() => (isOpen.value = !isOpen.value)}>${event.type}</button></td>
    <td>${event.step && html`<code>${event.step}</code>`}${event.attempt ? ` attempt ${event.attempt}` : ""}</td>
    <td>${event.worker ?? event.actor}</td>
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="5"><${Value} label=${`What ${event.type} says`} value=${event.data} /></td></tr>`}`;
}
