import { html } from "../../vendored/preact.js";
import { curl } from "../operations.js";
import { Command } from "../parts/small.js";

const WORKFLOW = {
  id: "hello",
  version: "1.0.0",
  steps: [{ id: "ask", wait_for: { signal: "answer" } }],
  output: "{{ask.output}}",
};

/** What an empty store shows: how its first run is started. It notices when that has come. */
export function Beginning() {
  const text = curl("startRun", {}, { workflow: WORKFLOW });
  return html`<h1>No runs yet</h1>
    <p role="status">This page shows the first run as soon as it is there.</p>
    <div class="panel">
      <h2>Start one over HTTP</h2>
      <p>This run waits for a signal, so it needs no worker. Send it one on its page.</p>
      <${Command} label="curl" text=${text} />
      <h2>Or begin a project</h2>
      <p>It has a workflow with components of its own, and a worker for them.</p>
      <${Command} label="openagents" text=${"openagents init my-project && cd my-project && openagents dev"} />
    </div>`;
}
