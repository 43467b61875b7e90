import { html, useSignal } from "../../vendored/preact.js";
import { call } from "../api.js";
import { quoted } from "../formats.js";
import { curl } from "../operations.js";
import { Dialog } from "../parts/dialog.js";
import { Command, ProblemNote, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";
import { ROLES, createWords, keyBody, newKeyId } from "./keys.js";

const EVERY_MS = 10_000;

/** The API keys of the store: who may call the service, and as what. */
export function Settings() {
  const round = useSignal(0);
  const { value, problem } = usePolling((signal) => call("listApiKeys", { signal }), [round.value], EVERY_MS);
  const chosen = useSignal(/** @type {{what: string, key: any} | null} */ (null));
  const created = useSignal(/** @type {any} */ (null));
  const keys = value.value;
  const choose = (/** @type {string} */ what, /** @type {any} */ key = null) => (chosen.value = { what, key });
  const close = () => (chosen.value = null);
  const done = () => (round.value += 1);
  return html`<div class="heading"><h1>Settings</h1><span class="hint">API keys: who may call the service, and as what</span></div>
    <${ProblemNote} problem=${problem.value} isKept=${keys !== null} />
    <div class="actions"><button class="main" type="button" onClick=${() => choose("create")}>Make a key</button></div>
    ${created.value && html`<div class="panel" role="status"><p>The key of ${created.value.key.name} is shown this once: nobody can show it again.</p>
      <${Command} label="API key" text=${created.value.secret} /></div>`}
    ${keys?.length === 0 && html`<p role="status">There is no key.</p>`}
    ${keys?.length > 0 && html`<${KeyTable} keys=${keys} choose=${choose} />`}
    <h2>Roles</h2><dl class="roles">${Object.entries(ROLES).map(([role, means]) => html`<div key=${role}><dt>${role}</dt><dd>${means}</dd></div>`)}</dl>
    ${chosen.value?.what === "create" && html`<${CreateDialog} onClose=${close} onCreated=${(/** @type {any} */ answer) => { created.value = answer; done(); }} />`}
    ${chosen.value?.what === "limit" && html`<${LimitDialog} apiKey=${chosen.value.key} onDone=${done} onClose=${close} />`}
    ${chosen.value?.what === "revoke" && html`<${RevokeDialog} apiKey=${chosen.value.key} onDone=${done} onClose=${close} />`}`;
}

/** @param {{keys: any[], choose: (what: string, key: any) => void}} properties */
function KeyTable({ keys, choose }) {
  return html`<div class="scroll" role="group" tabindex="0" aria-label="API keys"><table>
    <thead><tr><th scope="col">Name</th><th scope="col">Role</th><th scope="col">Id</th><th scope="col">Made</th><th scope="col">By</th>
      <th scope="col">Expires</th><th scope="col">Requests</th><th scope="col">What can be done</th></tr></thead>
    <tbody>${keys.map((key) => html`<tr key=${key.id}>
      <td>${key.name}</td><td>${key.role}</td><td><code>${key.id}</code></td><td><${Time} ms=${key.created_ms} /></td><td>${key.created_by}</td>
      <td>${key.expires_ms ? html`<${Time} ms=${key.expires_ms} />` : "never"}</td><td>${key.rate || "any"}</td>
      <td class="line"><button type="button" aria-label=${`Limit ${key.name}`} onClick=${() => choose("limit", key)}>Limit</button>
        ${" "}<button type="button" aria-label=${`Take back ${key.name}`} onClick=${() => choose("revoke", key)}>Take back</button></td>
    </tr>`)}</tbody>
  </table></div>`;
}

/** @param {{onCreated: (answer: any) => void, onClose: () => void}} properties */
function CreateDialog({ onCreated, onClose }) {
  const texts = useSignal({ name: "", role: "viewer", days: "", rate: "" });
  const id = useSignal(newKeyId());
  const body = keyBody(texts.value);
  const send = async () => onCreated(await call("putApiKey", { path: { key: id.value }, body }));
  const commands = [
    { label: "The same by the command line, where the store is reached", text: createWords(texts.value).map(quoted).join(" ") },
    { label: "The same over HTTP", text: curl("putApiKey", { key: id.value }, body) },
  ];
  const set = (/** @type {string} */ name) => (/** @type {any} */ event) => (texts.value = { ...texts.value, [name]: event.target.value });
  return html`<${Dialog} title="Make a key" means="Its name stands in histories for who has it." isWrong=${false} send=${send} onClose=${onClose} commands=${commands}>
    <label>Name<input required pattern="[a-zA-Z0-9_.\\-]+" maxlength="100" value=${texts.value.name} onInput=${set("name")} /></label>
    <label>Role<select onChange=${set("role")}>${Object.keys(ROLES).map((role) => html`<option value=${role} selected=${role === texts.value.role}>${role}</option>`)}</select></label>
    <label>Days until it expires; empty for never<input type="number" min="1" max="36500" step="1" value=${texts.value.days} onInput=${set("days")} /></label>
    <label>Requests that it may send, such as 100/s, 6000/m or 10000/h; empty for any<input value=${texts.value.rate} onInput=${set("rate")} /></label>
  <//>`;
}

/** @param {{apiKey: any, onDone: () => void, onClose: () => void}} properties */
function LimitDialog({ apiKey, onDone, onClose }) {
  const rate = useSignal(apiKey.rate);
  const path = { key: apiKey.id };
  const body = { rate: rate.value };
  const send = async (/** @type {import("../api.js").Attempt} */ attempt) => {
    await call("limitApiKey", { path, body, attempt });
    onDone();
  };
  const words = ["openagents", "api-keys", "limit", apiKey.id, "--rate", rate.value || "none"];
  const commands = [
    { label: "The same by the command line, where the store is reached", text: words.map(quoted).join(" ") },
    { label: "The same over HTTP", text: curl("limitApiKey", path, body) },
  ];
  return html`<${Dialog} title=${`Limit ${apiKey.name}`} means="Who sends more is told when to come again. Every instance knows within two seconds."
    isWrong=${false} send=${send} onClose=${onClose} commands=${commands}>
    <label>Requests, such as 100/s, 6000/m or 10000/h; empty for any
      <input value=${rate.value} onInput=${(/** @type {any} */ event) => (rate.value = event.target.value)} /></label>
  <//>`;
}

/** @param {{apiKey: any, onDone: () => void, onClose: () => void}} properties */
function RevokeDialog({ apiKey, onDone, onClose }) {
  const path = { key: apiKey.id };
  const send = async () => {
    await call("deleteApiKey", { path });
    onDone();
  };
  const commands = [
    { label: "The same by the command line, where the store is reached", text: `openagents api-keys revoke ${apiKey.id}` },
    { label: "The same over HTTP", text: curl("deleteApiKey", path) },
  ];
  return html`<${Dialog} title=${`Take back ${apiKey.name}`} means="The key counts no more, everywhere within two seconds. It cannot be given back."
    isWrong=${false} send=${send} onClose=${onClose} commands=${commands}><//>`;
}
