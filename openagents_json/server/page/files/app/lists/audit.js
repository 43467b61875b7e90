import { html } from "../../vendored/preact.js";
import { call, download } from "../api.js";
import { Asked, Verified } from "../parts/asked.js";
import { Command, ProblemNote } from "../parts/small.js";
import { usePolling } from "../polling.js";

const EVERY_MS = 10_000;

/** How the audit ledger stands; the whole store is checked against it, and it is exported for somebody else to check. */
export function Audit() {
  const { value, problem } = usePolling((signal) => call("getLedger", { signal }), [], EVERY_MS);
  const isNone = /** @type {any} */ (problem.value)?.code === "no_ledger";
  const ledger = value.value;
  return html`<div class="heading"><h1>Audit</h1><span class="hint">what the log says, proved</span></div>
    ${isNone ? html`<${Empty} />` : html`<${ProblemNote} problem=${problem.value} isKept=${ledger !== null} />`}
    ${ledger && html`<${Ledger} ledger=${ledger} />`}`;
}

function Empty() {
  return html`<p role="status">The store has no ledger: nothing is sealed.</p>
    <div class="panel"><h2>Begin one</h2>
      <${Command} label="Make a pair of keys" text="openagents audit keygen --output audit.key" />
      <${Command} label="Work with it" text="OPENAGENTS_AUDIT_KEY=audit.key openagents worker" /></div>`;
}

/** @param {{ledger: any}} properties */
function Ledger({ ledger }) {
  const parts = [
    ["Ledger", html`<code class="id">${ledger.ledger}</code>`],
    ["Keys", ledger.keys.map((/** @type {string} */ key) => html`<code key=${key} class="id">${key}</code> `)],
    ["Signed epochs", ledger.epochs], ["Events sealed", ledger.sealed], ["of these not signed yet", ledger.open], ["not sealed yet", ledger.waiting],
  ];
  return html`<dl class="summary">${parts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
    <div class="panel"><h2>Check the whole store</h2>
      <p>All of the log is read. The keys are those that the ledger names itself; who holds one checks with the command.</p>
      <${Asked} title="Verify" ask=${() => call("verifyLedger")} draw=${(/** @type {any} */ answer) => html`<${Verified} verification=${answer} />`} />
      <${Command} label="With a key that you trust, where the store is reached" text="openagents audit verify --public-key audit.key.pub" /></div>
    <div class="panel"><h2>Give it to somebody</h2>
      <p>The ledger and the log in one file, which is checked without the store.</p>
      <${Asked} title="Export" ask=${() => download("exportLedger", {}, "ledger.zip")} />
      <${Command} label="Check the file" text="openagents audit verify ledger.zip --public-key audit.key.pub" /></div>`;
}
