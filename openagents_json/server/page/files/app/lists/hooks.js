import { html, useSignal } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { quoted } from "../formats.js";
import { curl } from "../operations.js";
import { Command, ProblemNote, Status, Time, Value } from "../parts/small.js";
import { Loaded } from "../parts/loaded.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 5_000;
const HOOK = { signature: { preset: "github", secrets: ["HOOK"] }, start: { workflow: "greeting" } };

/** What others post to start or signal runs, with what they posted; and who is told of the events of runs. */
export function HooksPage() {
  const load = async (/** @type {AbortSignal} */ signal) => {
    const [hooks, webhooks] = await Promise.all([call("listHooks", { signal }), call("listWebhooks", { signal })]);
    return { hooks, webhooks };
  };
  const { value, problem } = usePolling(load, [], EVERY_MS);
  const shown = value.value;
  return html`<div class="heading"><h1>Hooks</h1></div>
    <${ProblemNote} problem=${problem.value} isKept=${shown !== null} />
    ${shown && html`<h2>Inbound: what others post starts or signals runs</h2><${Inbound} hooks=${shown.hooks} />
      <h2>Webhooks: others are told of runs</h2><${Outbound} webhooks=${shown.webhooks} />`}`;
}

/** @param {{hooks: any[]}} properties */
function Inbound({ hooks }) {
  if (hooks.length === 0) {
    return html`<p role="status">No hook is registered.</p>
      <div class="panel"><${Command} label="Register one that starts a workflow" text=${curl("putHook", { name: "pushes" }, HOOK)} /></div>`;
  }
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Inbound hooks"><table>
    <thead><tr><th scope="col">Hook</th><th scope="col">Does</th><th scope="col">Since</th><th scope="col">By</th></tr></thead>
    <tbody>${hooks.map((hook) => html`<${Hook} key=${hook.name} hook=${hook} />`)}</tbody>
  </table></div>`;
}

/** @param {{hook: any}} properties */
function Hook({ hook: { name, spec, created_ms, created_by } }) {
  const isOpen = useSignal(false);
  const id = `hook-${name}`;
  const does = spec.start ? `starts ${spec.start.workflow}` : spec.signal ? "sends a signal" : "";
  return html`<tr>
    <td><button type="button" class="fold" aria-expanded=${isOpen.value ? "true" : "false"} aria-controls=${id}
      onClick=${() => (isOpen.value = !isOpen.value)}>${name}</button></td>
    <td>${does}</td><td><${Time} ms=${created_ms} /></td><td>${created_by}</td>
  </tr>
  ${isOpen.value && html`<tr id=${id}><td colspan="4">
    <${Loaded} operation="listDeliveries" path=${{ name }} draw=${(/** @type {any[]} */ list) => html`<${Deliveries} name=${name} list=${list} />`} />
    <${Value} label="What it is registered with" value=${spec} />
  </td></tr>`}`;
}

/** @param {{name: string, list: any[]}} properties */
function Deliveries({ name, list }) {
  const here = document.baseURI.split("#")[0].replace(/\/$/, "");
  const words = ["openagents", "hooks", "replay", name, list[0]?.id ?? "DELIVERY", "--url", here];
  if (list.length === 0) return html`<p>Nothing was sent to it yet.</p>`;
  return html`<table>
    <caption>Deliveries, the newest first</caption>
    <thead><tr><th scope="col">Status</th><th scope="col">Delivery</th><th scope="col">Came</th><th scope="col">Run</th>
      <th scope="col">Replays</th><th scope="col">Error</th></tr></thead>
    <tbody>${list.map((delivery) => html`<tr key=${delivery.id}>
      <td><${Status} status=${delivery.status} /></td><td><code>${delivery.id}</code></td><td><${Time} ms=${delivery.received_ms} /></td>
      <td>${delivery.run && html`<a class="id" href=${link(["runs", delivery.run])}>${delivery.run}</a>`}</td>
      <td class="number">${delivery.replays || ""}</td><td class="error">${delivery.error}</td>
    </tr>`)}</tbody>
  </table>
  <${Command} label="Carry the newest out again" text=${words.map(quoted).join(" ")} />`;
}

/** @param {{webhooks: any[]}} properties */
function Outbound({ webhooks }) {
  if (webhooks.length === 0) return html`<p role="status">Nobody is told of runs.</p>`;
  return html`<div class="scroll" role="group" tabindex="0" aria-label="Webhooks"><table>
    <thead><tr><th scope="col">Webhook</th><th scope="col">Address</th><th scope="col">Events</th><th scope="col">Deliveries</th><th scope="col">Since</th></tr></thead>
    <tbody>${webhooks.map(({ name, spec, created_ms }) => html`<tr key=${name}>
      <td>${name}</td><td class="error">${spec.url}</td><td>${(spec.events ?? []).join(", ")}</td>
      <td><a href=${link(["runs"], new URLSearchParams({ label: `webhook=${name}` }))}>its runs</a></td><td><${Time} ms=${created_ms} /></td>
    </tr>`)}</tbody>
  </table></div>`;
}
