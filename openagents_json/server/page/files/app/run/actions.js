import { html, useSignal } from "../../vendored/preact.js";
import { go, link } from "../address.js";
import { call } from "../api.js";
import { Dialog } from "../parts/dialog.js";
import { SchemaFields, useSchemaForm } from "../parts/schema_form.js";
import { ACTIONS, cliCommand, curlCommand } from "./commands.js";
import { changesOf } from "./edited.js";

const SIGNAL = /** @type {import("./commands.js").Action} */ (ACTIONS.find(({ name }) => name === "signal"));

/**
 * Buttons for what can be done to a run as it is; what it waits for comes first.
 * @param {{info: any, waits: any[], version: number, onDone: () => void}} properties
 */
export function Actions({ info, waits, version, onDone }) {
  const chosen = useSignal(/** @type {{action: import("./commands.js").Action, awaited: any} | null} */ (null));
  const possible = ACTIONS.filter((action) => action.isFor(info.status));
  const signals = waits.flatMap((wait) => wait.signals);
  const choose = (/** @type {import("./commands.js").Action} */ action, /** @type {any} */ awaited) => (chosen.value = { action, awaited });
  return html`<div class="actions" role="group" aria-label="What can be done">
    ${signals.map((awaited) => html`<button key=${`${awaited.name} ${awaited.key}`} type="button" class="main"
      onClick=${() => choose(SIGNAL, awaited)}>Answer ${awaited.name}</button>`)}
    ${possible.map((action) => html`<button key=${action.name} type="button" onClick=${() => choose(action, null)}>${action.title}</button>`)}
    ${chosen.value && html`<${ActionDialog} action=${chosen.value.action} run=${info.id} steps=${info.steps} inputs=${info.inputs}
      at=${version || info.version} awaited=${chosen.value.awaited} onDone=${onDone} onClose=${() => (chosen.value = null)} />`}
  </div>`;
}

/**
 * @param {object} properties
 * @param {import("./commands.js").Action} properties.action
 * @param {string} properties.run
 * @param {any[]} properties.steps
 * @param {any} properties.awaited a signal that a step waits for
 * @param {any} [properties.inputs] those of the run, which can be edited
 * @param {number} [properties.at] the event that is looked at
 * @param {() => void} properties.onDone
 * @param {() => void} properties.onClose
 */
export function ActionDialog({ action, run, steps, awaited, inputs = {}, at = 1, onDone, onClose }) {
  const failed = action.fields.includes("oneStep") ? (steps.find(({ status }) => status === "failed")?.id ?? "") : "";
  const texts = useSignal(/** @type {Record<string, any>} */ ({
    step: failed, reason: "", name: awaited?.name ?? "", key: awaited?.key ?? "", force: false, compensate: true,
    at: String(at), inputs: JSON.stringify(inputs, null, 2), output: "null",
  }));
  // Another signal than the one that is awaited may say anything.
  const form = useSchemaForm(texts.value.name === awaited?.name ? awaited?.schema : null);
  const edited = read(texts.value.inputs);
  const output = read(texts.value.output);
  const changes = isObject(edited.value) ? changesOf(inputs, edited.value) : null;
  const values = { ...texts.value, at: Math.trunc(Number(texts.value.at)) || 1, payload: form.value, changes, output: output.value };
  const why = {
    payload: form.why,
    inputs: edited.why || (isObject(edited.value) ? "" : "Inputs are an object."),
    output: output.why,
  };
  const isWrong = Object.entries(why).some(([name, text]) => action.fields.includes(name) && text !== "");
  const send = async (/** @type {import("../api.js").Attempt} */ attempt) => {
    const done = await call(action.operation, { path: { run, name: texts.value.name }, body: action.body(values), attempt });
    onDone();
    if (done && done.id !== run) go(link(["runs", done.id]));
  };
  const commands = [
    { label: "The same by the command line", text: cliCommand(action, run, values) },
    { label: "The same over HTTP", text: curlCommand(action, run, values) },
  ];
  const set = (/** @type {string} */ name, /** @type {unknown} */ value) => (texts.value = { ...texts.value, [name]: value });
  return html`<${Dialog} title=${awaited ? `Answer ${awaited.name}` : action.title} means=${action.means} isWrong=${isWrong} send=${send}
      onClose=${onClose} commands=${commands}>
    ${action.fields.map((field) => {
      if (field === "payload") return html`<${SchemaFields} key=${field} form=${form} />`;
      const name = field === "oneStep" ? "step" : field;
      return html`<${Field} key=${field} field=${field} name=${name} value=${texts.value[name]}
        why=${why[/** @type {"inputs"} */ (field)] ?? ""} set=${set} steps=${steps} />`;
    })}
  <//>`;
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * @param {string} text
 * @returns {{value: any, why: string}}
 */
function read(text) {
  try {
    return { value: JSON.parse(text), why: "" };
  } catch (error) {
    return { value: null, why: `This is no JSON: ${/** @type {Error} */ (error).message}` };
  }
}

const LABELS = Object.freeze({
  step: "From step", oneStep: "Step", reason: "Reason, kept in the history", name: "Signal", key: "Key",
  force: "Without a grace period", compensate: "Undo what completed steps did",
  at: "Up to event", inputs: "Inputs", output: "What the step is to have returned",
});

/** @param {{field: string, name: string, value: any, why: string, set: (name: string, value: unknown) => void, steps: any[]}} properties */
function Field({ field, name, value, why, set, steps }) {
  const label = LABELS[/** @type {"step"} */ (field)];
  if (typeof value === "boolean") {
    return html`<label class="check"><input type="checkbox" checked=${value} onChange=${(/** @type {any} */ event) => set(name, event.target.checked)} /> ${label}</label>`;
  }
  const type = (/** @type {any} */ event) => set(name, event.target.value);
  if (name === "step") {
    const isOne = field === "oneStep";
    return html`<label>${label}<select onChange=${type} required=${isOne}><option value="">${isOne ? "" : "what failed"}</option>
      ${steps.map((step) => html`<option value=${step.id} selected=${step.id === value}>${step.id}</option>`)}</select></label>`;
  }
  if (name === "inputs" || name === "output") {
    return html`<label>${label}<textarea rows="4" spellcheck="false" value=${value} onInput=${type}></textarea></label>
      <p class="problem-line" role="status">${why}</p>`;
  }
  const type_ = name === "at" ? "number" : "text";
  return html`<label>${label}<input type=${type_} min="1" value=${value} required=${name === "name" || name === "at"} onInput=${type} /></label>`;
}
