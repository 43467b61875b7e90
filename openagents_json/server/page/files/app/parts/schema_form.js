import { html, useMemo, useSignal } from "../../vendored/preact.js";
import { fieldsOf, initialText, valueOf } from "./schema.js";

/**
 * Keep the texts of a form for a JSON Schema, and what they mean.
 * @param {any} schema
 */
export function useSchemaForm(schema) {
  const fields = useMemo(() => fieldsOf(schema), [schema]);
  const texts = useSignal(Object.fromEntries(fields.map((field) => [field.name, initialText(field)])));
  return { fields, texts, ...read(fields, texts.value) };
}

/**
 * @param {import("./schema.js").Field[]} fields
 * @param {Record<string, string>} texts
 * @returns {{value: unknown, why: string}} what the texts mean, or why they mean nothing
 */
function read(fields, texts) {
  try {
    return { value: valueOf(fields, texts), why: "" };
  } catch (error) {
    return { value: null, why: `This is no JSON: ${/** @type {Error} */ (error).message}` };
  }
}

/**
 * The fields of a form for a JSON Schema. The service checks what is sent.
 * @param {{form: ReturnType<typeof useSchemaForm>}} properties
 */
export function SchemaFields({ form }) {
  const { fields, texts, why } = form;
  const set = (/** @type {string} */ name, /** @type {string} */ text) => (texts.value = { ...texts.value, [name]: text });
  return html`${fields.map((field) => html`<${SchemaField} key=${field.name} field=${field} text=${texts.value[field.name] ?? ""} set=${set} />`)}
    <p class="problem-line" role="status">${why}</p>`;
}

/** @param {{field: import("./schema.js").Field, text: string, set: (name: string, text: string) => void}} properties */
function SchemaField({ field, text, set }) {
  const { name, kind, isRequired } = field;
  const typed = (/** @type {any} */ event) => set(name, event.target.value);
  const label = html`<span>${field.label}${isRequired ? "" : html` <span class="hint">optional</span>`}</span>
    ${field.hint && html`<span class="hint">${field.hint}</span>`}`;
  if (kind === "check") {
    return html`<label class="check"><input type="checkbox" checked=${text === "true"}
      onChange=${(/** @type {any} */ event) => set(name, String(event.target.checked))} />${label}</label>`;
  }
  if (kind === "choice") {
    return html`<label>${label}<select required=${isRequired} onChange=${typed}>
      <option value="" selected=${text === ""}></option>
      ${field.choices.map((choice) => html`<option value=${JSON.stringify(choice)} selected=${text === JSON.stringify(choice)}>${String(choice)}</option>`)}
    </select></label>`;
  }
  if (kind === "json" || kind === "long") {
    return html`<label>${label}<textarea rows="3" spellcheck=${kind === "long"} required=${isRequired} value=${text} onInput=${typed}
      placeholder=${kind === "json" ? "JSON" : ""}></textarea></label>`;
  }
  return html`<label>${label}<input type=${kind === "number" ? "number" : "text"} step="any" required=${isRequired} value=${text} onInput=${typed} /></label>`;
}
