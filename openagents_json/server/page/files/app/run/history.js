import { html, useSignal } from "../../vendored/preact.js";
import { linkHere } from "../address.js";
import { duration, exactTime, time } from "../formats.js";
import { useKept } from "../parts/kept.js";
import { Value } from "../parts/small.js";
import { Badge, Receipt, VerifyRun, sealOf, useSeal } from "./seal.js";

const SHOWN = 100;

/**
 * The events of a run, the newest first; that of the moment that is shown is marked.
 * Where the store has a ledger, each event says how far it is sealed.
 * @param {{run: string, events: any[], version: number}} properties
 */
export function History({ run, events, version }) {
  const most = useSignal(SHOWN);
  const beganMs = events[0]?.time_ms ?? 0;
  const shown = events.slice(-most.value).reverse();
  const kept = useKept();
  const seal = useSeal(run, events.length);
  return html`${seal && html`<${VerifyRun} run=${run} />`}<div class="scroll" role="group" tabindex="0" aria-label="History"><table>
    <thead><tr><th scope="col">Version</th><th scope="col">After</th><th scope="col">Event</th><th scope="col">Step</th>
      <th scope="col">By</th>${seal && html`<th scope="col">Ledger</th>`}</tr></thead>
    <tbody>${shown.map((event) => {
      const isNow = event.version === version;
      const isLater = version > 0 && event.version > version;
      return kept(event.version, [event, beganMs, isNow, isLater, seal && sealOf(seal, event.version)], () => html`<${Event} key=${event.version} event=${event} beganMs=${beganMs}
        isNow=${isNow} isLater=${isLater} run=${run} seal=${seal} />`);
    })}</tbody>
  </table></div>
  ${events.length > shown.length && html`<button type="button" onClick=${() => (most.value += SHOWN)}>
    Show earlier: ${events.length - shown.length} are left</button>`}`;
}

/** @param {{event: any, beganMs: number, isNow: boolean, isLater: boolean, run: string, seal: any}} properties */
function Event({ event, beganMs, isNow, isLater, run, seal }) {
  const isOpen = useSignal(false);
  const id = `event-${event.version}`;
  return html`<tr class=${isNow ? "now" : isLater ? "later" : ""}>
    <td class="number"><a href=${linkHere({ at: String(event.version) })} aria-label=${`The run after event ${event.version}`}>${event.version}</a></td>
    <td><time datetime=${exactTime(event.time_ms)} title=${time(event.time_ms)}>+${duration(event.time_ms - beganMs)}</time></td>
    <td><button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
      onClick=${() => (isOpen.value = !isOpen.value)}>${event.type}</button></td>
    <td>${event.step && html`<code>${event.step}</code>`}${event.attempt ? ` attempt ${event.attempt}` : ""}</td>
    <td>${event.worker ?? event.actor}</td>
    ${seal && html`<td><${Badge} seal=${seal} version=${event.version} /></td>`}
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="6"><${Value} label=${`What ${event.type} says`} value=${event.data} />
    ${seal && event.version <= seal.signed && html`<${Receipt} run=${run} version=${event.version} />`}</td></tr>`}`;
}
