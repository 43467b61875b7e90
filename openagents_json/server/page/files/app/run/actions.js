import { html, useEffect, useRef, useSignal } from "../../vendored/preact.js";
import { call } from "../api.js";
import { Command, ProblemNote } from "../parts/small.js";
import { ACTIONS, cliCommand, curlCommand } from "./commands.js";

/**
 * Buttons for what can be done to a run as it is.
 * @param {{info: any, waits: any[], onDone: () => void}} properties
 */
export function Actions({ info, waits, onDone }) {
  const chosen = useSignal(/** @type {import("./commands.js").Action | null} */ (null));
  const possible = ACTIONS.filter((action) => action.isFor(info.status));
  return html`<div class="actions">
    ${possible.map((action) => html`<button key=${action.name} type="button" onClick=${() => (chosen.value = action)}>${action.title}</button>`)}
    ${chosen.value && html`<${ActionDialog} action=${chosen.value} info=${info} waits=${waits} onDone=${onDone}
      onClose=${() => (chosen.value = null)} />`}
  </div>`;
}

/** @param {{action: import("./commands.js").Action, info: any, waits: any[], onDone: () => void, onClose: () => void}} properties */
function ActionDialog({ action, info, waits, onDone, onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const problem = useSignal(/** @type {Error | null} */ (null));
  const isSending = useSignal(false);
  const awaited = waits.flatMap((wait) => wait.signals)[0];
  const values = useSignal({
    step: "", reason: "", name: awaited?.name ?? "", key: awaited?.key ?? "", payload: null, force: false, compensate: true,
  });
  const isWrong = useSignal(false);
  useEffect(() => dialog.current?.showModal(), []);
  const send = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    isSending.value = true;
    try {
      const path = { run: info.id, name: values.value.name };
      await call(action.operation, { path, body: action.body(values.value) });
      onDone();
      dialog.current?.close();
    } catch (error) {
      problem.value = /** @type {Error} */ (error);
    } finally {
      isSending.value = false;
    }
  };
  const set = (/** @type {string} */ name, /** @type {unknown} */ value) => (values.value = { ...values.value, [name]: value });
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="action">
    <form onSubmit=${send}>
      <h2 id="action">${action.title}</h2>
      <p>${action.means}</p>
      ${action.fields.map((name) => html`<${Field} key=${name} name=${name} value=${values.value[/** @type {"step"} */ (name)]} set=${set}
        steps=${info.steps} isWrong=${isWrong} />`)}
      <${ProblemNote} problem=${problem.value} />
      <div class="actions">
        <button class="main" type="submit" disabled=${isSending.value || isWrong.value}>${action.title}</button>
        <button type="button" onClick=${() => dialog.current?.close()}>Leave it</button>
      </div>
      <${Command} label="The same by the command line" text=${cliCommand(action, info.id, values.value)} />
      <${Command} label="The same over HTTP" text=${curlCommand(action, info.id, values.value)} />
    </form>
  </dialog>`;
}

const LABELS = Object.freeze({
  step: "From step", reason: "Reason, kept in the history", name: "Signal", key: "Key", payload: "Payload as JSON",
  force: "Without a grace period", compensate: "Undo what completed steps did",
});

/** @param {{name: string, value: any, set: (name: string, value: unknown) => void, steps: any[], isWrong: any}} properties */
function Field({ name, value, set, steps, isWrong }) {
  const label = LABELS[/** @type {"step"} */ (name)];
  if (typeof value === "boolean") {
    return html`<label class="check"><input type="checkbox" checked=${value} onChange=${(/** @type {any} */ event) => set(name, event.target.checked)} /> ${label}</label>`;
  }
  if (name === "payload") return html`<${JsonField} label=${label} set=${set} isWrong=${isWrong} />`;
  const type = (/** @type {any} */ event) => set(name, event.target.value);
  if (name === "step") {
    return html`<label>${label}<select onChange=${type}><option value="">what failed</option>
      ${steps.map((step) => html`<option value=${step.id}>${step.id}</option>`)}</select></label>`;
  }
  return html`<label>${label}<input value=${value} required=${name === "name"} onInput=${type} /></label>`;
}

/** @param {{label: string, set: (name: string, value: unknown) => void, isWrong: any}} properties */
function JsonField({ label, set, isWrong }) {
  const why = useSignal("");
  const type = (/** @type {any} */ event) => {
    const text = event.target.value.trim();
    try {
      set("payload", text ? JSON.parse(text) : null);
      why.value = "";
    } catch (error) {
      why.value = `This is no JSON: ${/** @type {Error} */ (error).message}`;
    }
    isWrong.value = why.value !== "";
  };
  return html`<label>${label}<textarea rows="4" spellcheck=${false} aria-describedby="payload-problem" onInput=${type}></textarea></label>
    <p id="payload-problem" class="problem-line" role="status">${why.value}</p>`;
}
