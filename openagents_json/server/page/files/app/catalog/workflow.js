import { html, useMemo, useSignal } from "../../vendored/preact.js";
import { go, link } from "../address.js";
import { call } from "../api.js";
import { curl } from "../operations.js";
import { Dialog } from "../parts/dialog.js";
import { SchemaFields, useSchemaForm } from "../parts/schema_form.js";
import { ProblemNote, Value } from "../parts/small.js";
import { usePolling } from "../polling.js";
import { Graph } from "../run/graph.js";

/**
 * A published version: its graph, its document, and a form to start it.
 * @param {{workflow: string, version: string}} properties
 */
export function Workflow({ workflow, version }) {
  const load = async (/** @type {AbortSignal} */ signal) => {
    const path = { workflow, version };
    const [published, layout] = await Promise.all([
      call("getWorkflowVersion", { path, signal }),
      call("getWorkflowLayout", { path, signal }),
    ]);
    return { published, layout };
  };
  const { value, problem } = usePolling(load, [workflow, version], 0);
  const isStarting = useSignal(false);
  const chosen = useSignal("");
  const shown = value.value;
  if (shown === null) {
    return html`<h1>${workflow}</h1><${ProblemNote} problem=${problem.value} />
      ${!problem.value && html`<p class="hint" role="status">Loading</p>`}`;
  }
  const { document } = shown.published;
  return html`<p class="crumbs"><a href="#/catalog">Catalog</a></p>
    <div class="heading"><h1>${workflow} ${shown.published.version}</h1>
      <code class="hint id">${shown.published.hash}</code></div>
    ${document.description && html`<p>${String(document.description)}</p>`}
    <div class="actions"><button class="main" type="button" onClick=${() => (isStarting.value = true)}>Start a run</button></div>
    ${isStarting.value && html`<${Start} workflow=${workflow} version=${shown.published.version} inputs=${document.inputs}
      onClose=${() => (isStarting.value = false)} />`}
    <div class="columns wide">
      <section aria-labelledby="graph"><h2 id="graph">Graph</h2>
        <${Graph} layout=${shown.layout} steps=${null} chosen=${chosen.value} onChoose=${(/** @type {string} */ path) => (chosen.value = path)} />
      </section>
      <section aria-labelledby="document"><h2 id="document">Document</h2><${Value} label="As it was published" value=${document} /></section>
    </div>`;
}

/** @param {{workflow: string, version: string, inputs: any, onClose: () => void}} properties */
function Start({ workflow, version, inputs, onClose }) {
  const schema = useMemo(() => schemaOf(inputs), [inputs]);
  const form = useSchemaForm(schema);
  const { value, why } = form;
  const body = { workflow: `${workflow}@${version}`, inputs: value };
  const send = async (/** @type {import("../api.js").Attempt} */ attempt) => {
    const { id } = await call("startRun", { body, attempt });
    go(link(["runs", id]));
  };
  const commands = [{ label: "The same over HTTP", text: curl("startRun", {}, body) }];
  return html`<${Dialog} title="Start" means=${`A run of ${workflow} ${version} is started.`} isWrong=${why !== ""} send=${send}
    onClose=${onClose} commands=${commands}><${SchemaFields} form=${form} /><//>`;
}

/**
 * Return the inputs that a document declares as the schema of an object.
 * @param {Record<string, any> | undefined} inputs
 */
function schemaOf(inputs) {
  const properties = Object.entries(inputs ?? {}).map(([name, input]) => [name, typeof input === "string" ? { type: input } : input]);
  const isRequired = (/** @type {any} */ input) => input.required === true && input.default === undefined;
  return {
    properties: Object.fromEntries(properties),
    required: properties.filter(([, input]) => isRequired(input)).map(([name]) => name),
  };
}
