import { html, useEffect, useRef, useSignal } from "../../vendored/preact.js";
import { call } from "../api.js";
import { quoted } from "../formats.js";
import { Command, ProblemNote } from "../parts/small.js";
import { whereOptions } from "./where.js";

/** So many runs are looked for at most. */
const MOST = 10_000;
const PAGE = "1000";
const AT_ONCE = 4;

/** Which runs each action is for, by their status. */
const ACTIONS = Object.freeze({
  retry: { operation: "retryRun", statuses: ["failed"], body: (/** @type {string} */ reason) => ({ step: "", reason }) },
  cancel: {
    operation: "cancelRun", statuses: ["queued", "running", "paused", "failing"],
    body: (/** @type {string} */ reason) => ({ force: false, compensate: true, reason }),
  },
});

/**
 * What is done to all runs that a filter means: which they are is looked at first, and it can be stopped in between.
 * @param {{query: URLSearchParams}} properties
 */
export function Bulk({ query }) {
  const chosen = useSignal(/** @type {"retry" | "cancel" | ""} */ (""));
  if (query.has("as_of")) return null;
  return html`<div class="bulk">
    <button type="button" onClick=${() => (chosen.value = "retry")}>Retry all …</button>
    <button type="button" onClick=${() => (chosen.value = "cancel")}>Cancel all …</button>
    ${chosen.value && html`<${BulkDialog} name=${chosen.value} query=${query} onClose=${() => (chosen.value = "")} />`}
  </div>`;
}

/** @param {{name: "retry" | "cancel", query: URLSearchParams, onClose: () => void}} properties */
function BulkDialog({ name, query, onClose }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null));
  const { controller, ids, reason, done, problem, begin, isBusy } = useBulk(name, query);
  useEffect(() => {
    dialog.current?.showModal();
    return () => controller.abort();
  }, []);
  const here = document.baseURI.split("#")[0].replace(/\/$/, "");
  const words = ["openagents", "runs", name, ...whereOptions(aimed(name, query)), "--dry-run", "--url", here];
  const all = ids.value?.length ?? 0;
  const isOver = all > 0 && done.value.count === all;
  return html`<dialog ref=${dialog} onClose=${onClose} aria-labelledby="bulk-title">
    <h2 id="bulk-title">${name === "retry" ? "Retry all that failed" : "Cancel all that are open"}</h2>
    <p role="status">${ids.value === null ? "Looking which runs it would be" : `${all}${all === MOST ? " or more" : ""} runs of this list.`}</p>
    <label>Reason, kept in the history<input value=${reason.value} onInput=${(/** @type {any} */ event) => (reason.value = event.target.value)} /></label>
    ${done.value.count > 0 && html`<progress max=${all} value=${done.value.count} aria-label="How many are done"></progress>
      <p role="status">${done.value.count} of ${all} done${done.value.refused > 0 ? `, ${done.value.refused} refused: ${done.value.why}` : ""}.</p>`}
    <${ProblemNote} problem=${problem.value} />
    <div class="actions">
      <button type="button" class="main" disabled=${all === 0 || isBusy.value || isOver} onClick=${begin}>${name === "retry" ? "Retry" : "Cancel"} ${all} runs</button>
      <button type="button" onClick=${() => dialog.current?.close()}>${isBusy.value ? "Stop here" : isOver ? "Close" : "Leave it"}</button>
    </div>
    <${Command} label="Which runs it would be, by the command line; without --dry-run, it is done" text=${words.map(quoted).join(" ")} />
  </dialog>`;
}

/**
 * Return the query for those runs of a list that an action is for.
 * @param {"retry" | "cancel"} name
 * @param {URLSearchParams} query
 */
function aimed(name, query) {
  const { statuses } = ACTIONS[name];
  const result = new URLSearchParams(query);
  for (const other of ["status", "after", "limit"]) result.delete(other);
  const asked = query.getAll("status").filter((status) => statuses.includes(status));
  for (const status of asked.length > 0 ? asked : statuses) result.append("status", status);
  return result;
}

/**
 * @param {"retry" | "cancel"} name
 * @param {URLSearchParams} query
 */
function useBulk(name, query) {
  const ids = useSignal(/** @type {string[] | null} */ (null));
  const reason = useSignal("");
  const done = useSignal({ count: 0, refused: 0, why: "" });
  const problem = useSignal(/** @type {Error | null} */ (null));
  const isBusy = useSignal(false);
  const { current: controller } = useRef(new AbortController());
  useEffect(() => {
    idsOf(aimed(name, query), controller.signal)
      .then((found) => (ids.value = found))
      .catch((error) => controller.signal.aborted || (problem.value = error));
  }, []);
  const { operation, body } = ACTIONS[name];
  const begin = async () => {
    isBusy.value = true;
    const left = [...(ids.value ?? [])];
    const one = async () => {
      for (let run = left.shift(); run && !controller.signal.aborted; run = left.shift()) {
        const why = await call(operation, { path: { run }, body: body(reason.value) }).then(() => "", (error) => error.message);
        const before = done.value;
        done.value = { count: before.count + 1, refused: before.refused + (why ? 1 : 0), why: before.why || why };
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    isBusy.value = false;
  };
  return { controller, ids, reason, done, problem, begin, isBusy };
}

/**
 * Return the ids of the runs that a query means.
 * @param {URLSearchParams} query
 * @param {AbortSignal} signal
 */
async function idsOf(query, signal) {
  /** @type {string[]} */
  const ids = [];
  const asked = new URLSearchParams(query);
  asked.set("limit", PAGE);
  do {
    const page = await call("listRuns", { query: asked, signal });
    ids.push(...page.items.map((/** @type {any} */ run) => run.id));
    asked.set("after", page.next);
  } while (asked.get("after") && ids.length < MOST);
  return ids.slice(0, MOST);
}
