import { html } from "../../vendored/preact.js";
import { go, link } from "../address.js";
import { narrowed } from "./filters.js";
import { keptValue } from "./keeping.js";
import { COLUMNS, hiddenColumns } from "./table.js";

/**
 * Views that somebody has saved in this browser: names, and filters as they stand in the address.
 * @typedef {{name: string, query: string}} View
 */
const views = keptValue("openagents.views", /** @type {View[]} */ ([]));

/**
 * Saved views, which columns there are, and the time as of which runs are listed.
 * @param {{query: URLSearchParams}} properties
 */
export function Views({ query }) {
  const save = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const name = String(new FormData(form).get("name")).trim();
    const kept = new URLSearchParams(query);
    kept.delete("after");
    const others = views.value.value.filter((view) => view.name !== name);
    if (name) views.keep([...others, { name, query: kept.toString() }]);
    form.reset();
  };
  const asOf = (/** @type {any} */ event) => {
    const at = new Date(event.target.value);
    if (!Number.isNaN(at.getTime())) go(narrowed(query, "as_of", at.toISOString()));
  };
  const saved = views.value.value;
  return html`<div class="views">
    <details class="menu"><summary>Views${saved.length > 0 && html` <span class="number">${saved.length}</span>`}</summary><div class="panel">
      ${saved.length === 0 && html`<p class="hint">A view is a filter under a name, kept in this browser.</p>`}
      <ul>${saved.map((view) => html`<li key=${view.name}><a href=${link(["runs"], new URLSearchParams(view.query))}>${view.name}</a>
        <button type="button" aria-label=${`Forget ${view.name}`} onClick=${() => views.keep(saved.filter(({ name }) => name !== view.name))}>×</button></li>`)}</ul>
      <form onSubmit=${save}><label>Save this view as<input name="name" maxlength="60" required /></label><button type="submit">Save</button></form>
    </div></details>
    <details class="menu"><summary>Columns</summary><div class="panel">
      ${COLUMNS.map(({ name, title }) => html`<label key=${name} class="check"><input type="checkbox" checked=${!hiddenColumns.value.value.includes(name)}
        onChange=${() => toggle(name)} /> ${title}</label>`)}
    </div></details>
    <label class="as-of">As of <input type="datetime-local" step="1" onChange=${asOf} /></label>
  </div>`;
}

/** @param {string} name */
function toggle(name) {
  const hidden = hiddenColumns.value.value;
  hiddenColumns.keep(hidden.includes(name) ? hidden.filter((other) => other !== name) : [...hidden, name]);
}
