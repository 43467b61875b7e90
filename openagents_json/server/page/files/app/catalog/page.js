import { html, useSignal } from "../../vendored/preact.js";
import { link } from "../address.js";
import { call } from "../api.js";
import { duration } from "../formats.js";
import { ProblemNote, Time } from "../parts/small.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 10_000;

/** What is published, and what became of the attempts of each component; both by what is typed. */
export function Catalog() {
  const text = useSignal("");
  const load = async (/** @type {AbortSignal} */ signal) => {
    const [published, components] = await Promise.all([call("listWorkflows", { signal }), call("listComponents", { signal })]);
    return { published, components };
  };
  const { value, problem } = usePolling(load, [], EVERY_MS);
  const shown = value.value;
  const fits = (/** @type {string} */ name) => name.toLowerCase().includes(text.value.toLowerCase());
  return html`<div class="heading"><h1>Catalog</h1></div>
    <label class="search">Search by name<input type="search" value=${text.value} data-search
      onInput=${(/** @type {any} */ event) => (text.value = event.target.value)} /></label>
    <${ProblemNote} problem=${problem.value} isKept=${shown !== null} />
    ${shown && html`<${Workflows} published=${shown.published} fits=${fits} /><${Components} components=${shown.components} fits=${fits} />`}`;
}

/** @param {{published: any, fits: (name: string) => boolean}} properties */
function Workflows({ published, fits }) {
  const names = Object.entries(published.versions).filter(([name]) => fits(name));
  const aliases = Object.entries(published.aliases);
  return html`<h2>Workflows</h2>
    ${names.length === 0 && html`<p role="status">None.</p>`}
    ${names.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Workflows"><table>
      <thead><tr><th scope="col">Workflow</th><th scope="col">Version</th><th scope="col">Aliases</th><th scope="col">Published</th>
        <th scope="col">Runs</th></tr></thead>
      <tbody>${names.map(([name, entry]) => {
        const [id, version] = name.split("@");
        const meaning = aliases.filter(([, means]) => means === name || means === version).map(([alias]) => alias);
        return html`<tr key=${name}>
          <td><a href=${link(["catalog", id, version])}>${id}</a></td><td>${version}</td><td>${meaning.join(", ")}</td>
          <td><${Time} ms=${/** @type {any} */ (entry).added_ms} /></td>
          <td><a href=${link(["runs"], new URLSearchParams({ workflow: id, workflow_version: version }))}>runs</a></td>
        </tr>`;
      })}</tbody>
    </table></div>`}`;
}

/** @param {{components: any[], fits: (name: string) => boolean}} properties */
function Components({ components, fits }) {
  const shown = components.filter(({ component }) => fits(component));
  return html`<h2>Components</h2>
    ${shown.length === 0 && html`<p role="status">None has run.</p>`}
    ${shown.length > 0 && html`<div class="scroll" role="group" tabindex="0" aria-label="Components"><table>
      <thead><tr><th scope="col">Component</th><th scope="col">Completed</th><th scope="col">Failed</th><th scope="col">Lost</th>
        <th scope="col">Median</th><th scope="col">95 %</th><th scope="col">99 %</th></tr></thead>
      <tbody>${shown.map((row) => html`<tr key=${row.component}>
        <td><code>${row.component}</code></td><td class="number">${row.completed}</td><td class="number">${row.failed}</td>
        <td class="number">${row.lost}</td>
        ${[row.p50_ms, row.p95_ms, row.p99_ms].map((ms) => html`<td class="number">${ms === null ? "" : duration(ms)}</td>`)}
      </tr>`)}</tbody>
    </table></div>`}`;
}
