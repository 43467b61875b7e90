import { html, useSignal } from "../../vendored/preact.js";
import { call } from "../api.js";
import { Dialog } from "../parts/dialog.js";
import { SchemaFields, useSchemaForm } from "../parts/schema_form.js";
import { ACTIONS, cliCommand, curlCommand } from "./commands.js";

/**
 * Buttons for what can be done to a run as it is.
 * @param {{info: any, waits: any[], onDone: () => void}} properties
 */
export function Actions({ info, waits, onDone }) {
  const chosen = useSignal(/** @type {import("./commands.js").Action | null} */ (null));
  const possible = ACTIONS.filter((action) => action.isFor(info.status));
  const awaited = waits.flatMap((wait) => wait.signals)[0] ?? null;
  return html`<div class="actions">
    ${possible.map((action) => html`<button key=${action.name} type="button" onClick=${() => (chosen.value = action)}>${action.title}</button>`)}
    ${chosen.value && html`<${ActionDialog} action=${chosen.value} run=${info.id} steps=${info.steps} awaited=${awaited} onDone=${onDone}
      onClose=${() => (chosen.value = null)} />`}
  </div>`;
}

/**
 * @param {object} properties
 * @param {import("./commands.js").Action} properties.action
 * @param {string} properties.run
 * @param {any[]} properties.steps
 * @param {any} properties.awaited a signal that a step waits for
 * @param {() => void} properties.onDone
 * @param {() => void} properties.onClose
 */
export function ActionDialog({ action, run, steps, awaited, onDone, onClose }) {
  const texts = useSignal({ step: "", reason: "", name: awaited?.name ?? "", key: awaited?.key ?? "", force: false, compensate: true });
  // Another signal than the one that is awaited may say anything.
  const form = useSchemaForm(texts.value.name === awaited?.name ? awaited?.schema : null);
  const { value: payload, why } = form;
  const values = { ...texts.value, payload };
  const send = async (/** @type {import("../api.js").Attempt} */ attempt) => {
    await call(action.operation, { path: { run, name: values.name }, body: action.body(values), attempt });
    onDone();
  };
  const commands = [
    { label: "The same by the command line", text: cliCommand(action, run, values) },
    { label: "The same over HTTP", text: curlCommand(action, run, values) },
  ];
  const isWrong = action.fields.includes("payload") && why !== "";
  const set = (/** @type {string} */ name, /** @type {unknown} */ value) => (texts.value = { ...texts.value, [name]: value });
  return html`<${Dialog} title=${action.title} means=${action.means} isWrong=${isWrong} send=${send} onClose=${onClose} commands=${commands}>
    ${action.fields.map((name) =>
      name === "payload"
        ? html`<${SchemaFields} key=${name} form=${form} />`
        : html`<${Field} key=${name} name=${name} value=${texts.value[/** @type {"step"} */ (name)]} set=${set} steps=${steps} />`,
    )}
  <//>`;
}

const LABELS = Object.freeze({
  step: "From step", reason: "Reason, kept in the history", name: "Signal", key: "Key",
  force: "Without a grace period", compensate: "Undo what completed steps did",
});

/** @param {{name: string, value: any, set: (name: string, value: unknown) => void, steps: any[]}} properties */
function Field({ name, value, set, steps }) {
  const label = LABELS[/** @type {"step"} */ (name)];
  if (typeof value === "boolean") {
    return html`<label class="check"><input type="checkbox" checked=${value} onChange=${(/** @type {any} */ event) => set(name, event.target.checked)} /> ${label}</label>`;
  }
  const type = (/** @type {any} */ event) => set(name, event.target.value);
  if (name === "step") {
    return html`<label>${label}<select onChange=${type}><option value="">what failed</option>
      ${steps.map((step) => html`<option value=${step.id}>${step.id}</option>`)}</select></label>`;
  }
  return html`<label>${label}<input value=${value} required=${name === "name"} onInput=${type} /></label>`;
}
