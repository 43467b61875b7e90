import { html } from "../../vendored/preact.js";
import { apiKey, keepKey, keyProblem } from "../key.js";

const SECTIONS = [
  ["runs", "Runs"],
  ["inbox", "Inbox"],
  ["failures", "Failures"],
  ["catalog", "Catalog"],
  ["schedules", "Schedules"],
  ["hooks", "Hooks"],
  ["queues", "Queues"],
  ["workers", "Workers"],
  ["audit", "Audit"],
  ["settings", "Settings"],
];

/**
 * What is around each page: where one can go, and who one is.
 * @param {{section: string, children: any}} properties
 */
export function Frame({ section, children }) {
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="frame">
      <a class="name" href="#/runs"><span class="logo" aria-hidden="true"></span>OpenAgents JSON</a>
      <nav aria-label="Sections">
        ${SECTIONS.map(
          ([path, title]) =>
            html`<a href=${`#/${path}`} aria-current=${path === section ? "page" : null}>${title}</a>`,
        )}
      </nav>
      ${apiKey.value && html`<button type="button" onClick=${() => keepKey("")}>Sign out</button>`}
    </header>
    ${keyProblem.value ? html`<${SignIn} why=${keyProblem.value} />` : children}
  `;
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** @param {{why: string}} properties */
function SignIn({ why }) {
  const send = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    keepKey(String(new FormData(form).get("key")).trim());
  };
  return html`<main id="main" class="narrow">
    <h1>Sign in</h1>
    <form class="panel" onSubmit=${send}>
      <p>This service wants an API key of its store.</p>
      ${apiKey.value && html`<p class="problem" role="alert">${why}</p>`}
      <label>API key
        <input name="key" type="password" autocomplete="off" required autofocus />
      </label>
      <p class="hint">It is kept in this tab only, and forgotten when you close it. A key is made with
        <code>openagents api-keys create NAME --role operator</code>.</p>
      <button class="main" type="submit">Sign in</button>
    </form>
  </main>`;
}
